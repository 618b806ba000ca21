//! Outputs, and the digest over them.

use super::{Cursor, Malformed, alert, origin_bytes, put_id, put_refused};
use crate::decision::{
    CauseList, Decision, Outcome, Part, Parts, Provenance, Reason, ReasonCode, Reasons, Skip, Skips, Status, Suspicion, Why,
};
use crate::engine::{Output, Rejected};
use crate::event::{EventType, Sequence};

const DECISION: u8 = 1;
const REJECTED: u8 = 2;
const ALERT: u8 = 3;

const STATUSES: [Status; 3] = [Status::Evaluated, Status::Degraded, Status::Fallback];

/// Appends the body of `output` (all but its sequence) to `out`.
pub fn encode_output(output: &Output, out: &mut Vec<u8>) {
    out.reserve(512);
    match output {
        Output::Decision(decision) => {
            out.push(DECISION);
            encode_decision(decision, out);
        }
        Output::Rejected(rejected) => {
            out.push(REJECTED);
            out.extend_from_slice(&origin_bytes(rejected.origin));
            put_refused(out, rejected.refused);
            out.push(u8::from(rejected.event.is_some()));
            if let Some(event) = rejected.event {
                put_id(out, event);
            }
        }
        Output::Alert(alert) => {
            out.push(ALERT);
            alert::encode(alert, out);
        }
    }
}

/// The output with this body at `sequence`.
///
/// # Errors
/// [`Malformed`] where `body` is not the form of an output, to its last byte.
pub fn decode_output(sequence: Sequence, body: &[u8]) -> Result<Output, Malformed> {
    let mut from = Cursor::new(body);
    let output = match from.u8()? {
        DECISION => Output::Decision(decode_decision(sequence, &mut from)?),
        REJECTED => {
            let origin = from.origin()?;
            let refused = from.refused()?;
            let bits = from.bits(1)?;
            Output::Rejected(Rejected { sequence, origin, refused, event: from.id_if(bits, 0)? })
        }
        ALERT => Output::Alert(alert::decode(sequence, &mut from)?),
        _ => return Err(from.malformed("no output has this number")),
    };
    from.end()?;
    Ok(output)
}

fn encode_decision(decision: &Decision, out: &mut Vec<u8>) {
    let mut head = [0; 48];
    head[..16].copy_from_slice(&decision.event.bits().to_le_bytes());
    head[16] = decision.kind as u8;
    head[17..33].copy_from_slice(&decision.key.bits().to_le_bytes());
    head[33] = decision.revision;
    head[34..42].copy_from_slice(&decision.time.0.to_le_bytes());
    head[42] = decision.outcome as u8;
    head[43..45].copy_from_slice(&decision.risk_score.to_le_bytes());
    head[45] = decision.status as u8;
    head[46] = decision.used.0;
    head[47] = u8::from(decision.probability.is_some()) | u8::from(decision.provenance.model.is_some()) << 1;
    let suspects = decision.suspicion != Suspicion::default();
    head[47] |= u8::from(decision.control_group.is_some()) << 2 | u8::from(suspects) << 3;
    out.extend_from_slice(&head);
    if let Some(probability) = decision.probability {
        out.extend_from_slice(&probability.to_bits().to_le_bytes());
    }
    if let Some(propensity) = decision.control_group {
        out.extend_from_slice(&propensity.to_le_bytes());
    }
    put_reasons(&decision.reasons, out);
    let skips = decision.skipped.as_slice();
    out.push(skips.len() as u8);
    for skip in skips {
        let mut bytes = [0; 18];
        bytes[0] = skip.part as u8;
        bytes[1] = skip.why as u8;
        bytes[2..10].copy_from_slice(&skip.value.to_le_bytes());
        bytes[10..].copy_from_slice(&skip.window.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
    if let Some(model) = decision.provenance.model {
        out.extend_from_slice(&model);
    }
    out.extend_from_slice(&decision.provenance.policy);
    out.extend_from_slice(&decision.provenance.topology);
    if suspects {
        put_suspicion(&decision.suspicion, out);
    }
}

fn put_reasons(reasons: &Reasons, out: &mut Vec<u8>) {
    out.push(reasons.as_slice().len() as u8);
    for reason in reasons.as_slice() {
        let mut bytes = [0; 14];
        bytes[..2].copy_from_slice(&(reason.code as u16).to_le_bytes());
        bytes[2..4].copy_from_slice(&reason.cause.to_le_bytes());
        bytes[4..6].copy_from_slice(&reason.weight.to_le_bytes());
        bytes[6..].copy_from_slice(&reason.value.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

fn take_reasons(from: &mut Cursor) -> Result<Reasons, Malformed> {
    let mut reasons = Reasons::default();
    for place in 0..usize::from(from.u8()?) {
        let number = from.u16()?;
        let code = ReasonCode::ALL.into_iter().find(|code| *code as u16 == number);
        let code = code.ok_or_else(|| from.malformed("no reason has this number"))?;
        let reason = Reason { code, cause: from.u16()?, weight: from.u16()?, value: from.i64()? };
        reasons.insert(reason);
        // Inserting sorts and drops: what did not land at its own place was not written from a list of reasons.
        if reasons.as_slice().len() != place + 1 || reasons.as_slice()[place] != reason {
            return Err(from.malformed("too many reasons, or not strongest first"));
        }
    }
    Ok(reasons)
}

fn put_suspicion(suspicion: &Suspicion, out: &mut Vec<u8>) {
    out.push(suspicion.outcome as u8);
    out.push(u8::from(suspicion.sum_yielded) | u8::from(suspicion.no_number) << 1);
    out.extend_from_slice(&suspicion.risk_score.to_le_bytes());
    put_reasons(&suspicion.reasons, out);
    for causes in [&suspicion.rule_errors, &suspicion.yielded] {
        out.push(causes.as_slice().len() as u8);
        causes.as_slice().iter().for_each(|cause| out.extend_from_slice(&cause.to_le_bytes()));
    }
}

fn take_suspicion(from: &mut Cursor) -> Result<Suspicion, Malformed> {
    let outcome = from.one_of(&Outcome::ALL, 0, "no outcome has this number")?;
    let bits = from.bits(2)?;
    let (risk_score, reasons) = (from.u16()?, take_reasons(from)?);
    let mut causes = || {
        let mut causes = CauseList::default();
        for place in 0..usize::from(from.u8()?) {
            causes.push(from.u16()?);
            if causes.as_slice().len() != place + 1 {
                return Err(from.malformed("too many causes"));
            }
        }
        Ok(causes)
    };
    let (rule_errors, yielded) = (causes()?, causes()?);
    let (sum_yielded, no_number) = (bits & 1 != 0, bits & 2 != 0);
    let suspicion = Suspicion { outcome, risk_score, reasons, rule_errors, yielded, sum_yielded, no_number };
    if suspicion == Suspicion::default() {
        return Err(from.malformed("a suspicion of nothing"));
    }
    Ok(suspicion)
}

fn decode_decision(sequence: Sequence, from: &mut Cursor) -> Result<Decision, Malformed> {
    let event = from.id()?;
    let kind = from.one_of(&EventType::ALL, 0, "no event type has this number")?;
    let key = from.id()?;
    let revision = from.u8()?;
    let time = from.time()?;
    let outcome = from.one_of(&Outcome::ALL, 0, "no outcome has this number")?;
    let risk_score = from.u16()?;
    let status = from.one_of(&STATUSES, 0, "no status has this number")?;
    let used = Parts(from.u8()?);
    let bits = from.bits(4)?;
    let probability = if bits & 1 == 0 { None } else { Some(f32::from_bits(from.u32()?)) };
    let control_group = if bits & 4 == 0 { None } else { Some(from.u32()?) };
    let reasons = take_reasons(from)?;
    let mut skipped = Skips::default();
    for place in 0..usize::from(from.u8()?) {
        let part = from.one_of(&Part::ALL, 0, "no part has this number")?;
        let why = from.one_of(&Why::ALL, 0, "no cause of a skip has this number")?;
        skipped.push(Skip { part, why, value: from.i64()?, window: from.i64()? });
        if skipped.as_slice().len() != place + 1 {
            return Err(from.malformed("too many skipped parts, or one twice"));
        }
    }
    let model = if bits & 2 == 0 { None } else { Some(from.take()?) };
    let provenance = Provenance { model, policy: from.take()?, topology: from.take()? };
    let suspicion = if bits & 8 == 0 { Suspicion::default() } else { take_suspicion(from)? };
    Ok(Decision {
        event,
        kind,
        key,
        revision,
        sequence,
        time,
        outcome,
        risk_score,
        probability,
        reasons,
        control_group,
        status,
        used,
        skipped,
        provenance,
        suspicion,
    })
}

/// The digest of a run: BLAKE3 over the bodies of all outputs in order, each behind its length (four bytes, little-endian).
///
/// Sequences are left out, so that the same events with other records between them (ticks, labels kept apart) can be compared.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    // BLAKE3 is fast on long inputs only: bodies are gathered here first.
    gathered: Vec<u8>,
}

/// Sixteen of BLAKE3's chunks times four: all lanes of its widest form are busy.
const GATHERED_BYTES: usize = 64 * 1024;

impl Digest {
    /// The digest of nothing yet.
    pub fn new() -> Digest {
        Digest::default()
    }

    /// Adds the next output.
    pub fn update(&mut self, output: &Output) {
        let start = self.gathered.len();
        self.gathered.extend_from_slice(&[0; 4]);
        encode_output(output, &mut self.gathered);
        let length = (self.gathered.len() - start - 4) as u32;
        self.gathered[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.pass_on();
    }

    /// Adds the next output by its body, as the output log holds it.
    pub fn update_body(&mut self, body: &[u8]) {
        self.gathered.extend_from_slice(&(body.len() as u32).to_le_bytes());
        self.gathered.extend_from_slice(body);
        self.pass_on();
    }

    fn pass_on(&mut self) {
        if self.gathered.len() >= GATHERED_BYTES {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
    }

    /// The digest of all outputs so far.
    pub fn finish(&self) -> [u8; 32] {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.gathered);
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::examples;
    use proptest::prelude::*;

    proptest! {
        // Caught when planted: `status` left out of the body.
        #[test]
        fn what_is_written_is_read(output in examples::output()) {
            let mut body = Vec::new();
            encode_output(&output, &mut body);
            prop_assert_eq!(decode_output(output.sequence(), &body), Ok(output.clone()));
            for end in 0..body.len() {
                prop_assert!(decode_output(output.sequence(), &body[..end]).is_err());
            }
        }

        // Caught when planted: reasons taken in any order (insert sorts them, so the bytes differed).
        #[test]
        fn damaged_bodies_are_refused_or_canonical(output in examples::output(), place in any::<prop::sample::Index>(), bits in 1u8..) {
            let mut body = Vec::new();
            encode_output(&output, &mut body);
            let place = place.index(body.len());
            body[place] ^= bits;
            if let Ok(read) = decode_output(Sequence(0), &body) {
                let mut again = Vec::new();
                encode_output(&read, &mut again);
                prop_assert_eq!(again, body);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300), tag in 1u8..4) {
            let _ = decode_output(Sequence(1), &body);
            let mut tagged = vec![tag];
            tagged.extend_from_slice(&body);
            let _ = decode_output(Sequence(1), &tagged);
        }

        // Caught when planted: the sequence in the body; the length left out.
        #[test]
        fn the_digest_hashes_bodies_behind_their_lengths(outputs in prop::collection::vec(examples::output(), 0..20), shift in 1u64..9) {
            let (mut digest, mut by_body, mut plain) = (Digest::new(), Digest::new(), blake3::Hasher::new());
            for output in &outputs {
                let mut moved = output.clone();
                match &mut moved {
                    Output::Decision(decision) => decision.sequence.0 += shift,
                    Output::Rejected(rejected) => rejected.sequence.0 += shift,
                    Output::Alert(alert) => alert.sequence.0 += shift,
                }
                let mut body = Vec::new();
                encode_output(output, &mut body);
                digest.update(&moved);
                by_body.update_body(&body);
                plain.update(&(body.len() as u32).to_le_bytes());
                plain.update(&body);
            }
            prop_assert_eq!(digest.finish(), *plain.finalize().as_bytes());
            prop_assert_eq!(by_body.finish(), digest.finish());
        }
    }

    #[test]
    fn the_digest_passes_long_runs_on() {
        let body = vec![7u8; 1000];
        let (mut digest, mut plain) = (Digest::new(), blake3::Hasher::new());
        for _ in 0..200 {
            digest.update_body(&body);
            plain.update(&1000u32.to_le_bytes());
            plain.update(&body);
        }
        assert_eq!(digest.finish(), *plain.finalize().as_bytes());
    }
}
