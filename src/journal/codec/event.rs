//! The bodies of events, by type. The order of fields here is the format: it changes only with the format's version.

use super::{Cursor, Malformed, presence, put_id, put_ids, put_time};
use crate::event::{
    Action, Body, Country, Currency, Erase, EventType, ITEMS_MAX, Interaction, Item, KycRisk, Label, LabelSource, Money, Payment,
    PaymentResult, PaymentStatus, Profile, SLOTS, Sequence, Session, Target, Transfer, Verdict,
};

/// Appends `body`; its type stands in the record's tag.
pub(super) fn encode(body: &Body, out: &mut Vec<u8>) {
    match body {
        Body::Payment(payment) => encode_payment(payment, out),
        Body::PaymentResult(result) => encode_payment_result(result, out),
        Body::Transfer(transfer) => encode_transfer(transfer, out),
        Body::Session(session) => {
            let ids = [session.device, session.ip, session.action, session.session];
            put_id(out, session.user);
            out.push(presence(ids));
            put_ids(out, ids);
        }
        Body::Interaction(interaction) => encode_interaction(interaction, out),
        Body::Item(item) => {
            let ids = [item.merchant, item.category, item.brand, item.title];
            put_id(out, item.item);
            out.push(presence(ids) | u8::from(item.price.is_some()) << 4);
            put_ids(out, ids);
            if let Some(price) = item.price {
                put_money(out, price);
            }
        }
        Body::Label(label) => {
            let ids = [label.scenario, label.user, label.from];
            put_id(out, label.target);
            out.push(label.verdict as u8);
            out.push(label.source as u8);
            out.push(presence(ids) | u8::from(label.resolved.is_some()) << 3);
            put_ids(out, ids);
            put_target(out, label.resolved);
        }
        Body::Profile(profile) => encode_profile(profile, out),
        Body::Erase(erase) => put_id(out, erase.user),
    }
}

/// The body of an event of type `kind`.
pub(super) fn decode(kind: EventType, from: &mut Cursor) -> Result<Body, Malformed> {
    Ok(match kind {
        EventType::Payment => Body::Payment(decode_payment(from)?),
        EventType::PaymentResult => Body::PaymentResult(decode_payment_result(from)?),
        EventType::Transfer => Body::Transfer(decode_transfer(from)?),
        EventType::Session => {
            let user = from.id()?;
            let bits = from.bits(4)?;
            Body::Session(Session {
                user,
                device: from.id_if(bits, 0)?,
                ip: from.id_if(bits, 1)?,
                action: from.id_if(bits, 2)?,
                session: from.id_if(bits, 3)?,
            })
        }
        EventType::Interaction => Body::Interaction(decode_interaction(from)?),
        EventType::Item => {
            let item = from.id()?;
            let bits = from.bits(5)?;
            Body::Item(Item {
                item,
                merchant: from.id_if(bits, 0)?,
                category: from.id_if(bits, 1)?,
                brand: from.id_if(bits, 2)?,
                title: from.id_if(bits, 3)?,
                price: if bits & 1 << 4 == 0 { None } else { Some(money(from)?) },
            })
        }
        EventType::Label => {
            let target = from.id()?;
            let verdict = from.one_of(&Verdict::ALL, 1, "no verdict has this number")?;
            let source = from.one_of(&LabelSource::ALL, 1, "no source of labels has this number")?;
            let bits = from.bits(4)?;
            Body::Label(Label {
                target,
                verdict,
                source,
                scenario: from.id_if(bits, 0)?,
                user: from.id_if(bits, 1)?,
                from: from.id_if(bits, 2)?,
                resolved: if bits & 1 << 3 == 0 { None } else { Some(read_target(from)?) },
            })
        }
        EventType::Profile => Body::Profile(decode_profile(from)?),
        EventType::Erase => Body::Erase(Erase { user: from.id()? }),
    })
}

fn put_money(out: &mut Vec<u8>, money: Money) {
    out.extend_from_slice(&money.minor.to_le_bytes());
    out.extend_from_slice(&money.currency.bytes());
}

fn money(from: &mut Cursor) -> Result<Money, Malformed> {
    let minor = from.i64()?;
    let letters = from.take::<3>()?;
    let currency = std::str::from_utf8(&letters).ok().and_then(Currency::parse);
    Ok(Money { minor, currency: currency.ok_or_else(|| from.malformed("no currency has these letters"))? })
}

/// The target, if any; whether there is one stands in a presence bit before.
fn put_target(out: &mut Vec<u8>, target: Option<Target>) {
    if let Some(target) = target {
        encode_target(&target, out);
    }
}

/// Appends a target: also the value under which the index of judged events keeps it.
pub(crate) fn encode_target(target: &Target, out: &mut Vec<u8>) {
    out.extend_from_slice(&target.sequence.0.to_le_bytes());
    put_time(out, target.time);
    out.push(target.kind as u8);
    out.extend_from_slice(&target.source.to_le_bytes());
    out.push(presence(target.ends) | u8::from(target.standing.is_some()) << SLOTS);
    put_ids(out, target.ends);
    if let Some((verdict, source)) = target.standing {
        out.push(verdict as u8);
        out.push(source as u8);
    }
}

fn read_target(from: &mut Cursor) -> Result<Target, Malformed> {
    let sequence = Sequence(from.u64()?);
    let time = from.time()?;
    let kind = from.one_of(&EventType::ALL, 0, "no event type has this number")?;
    let source = from.u16()?;
    let bits = from.bits(SLOTS as u32 + 1)?;
    let mut ends = [None; SLOTS];
    for (place, end) in ends.iter_mut().enumerate() {
        *end = from.id_if(bits, place as u32)?;
    }
    let mut standing = None;
    if bits & 1 << SLOTS != 0 {
        let verdict = from.one_of(&Verdict::ALL, 1, "no verdict has this number")?;
        standing = Some((verdict, from.one_of(&LabelSource::ALL, 1, "no source of labels has this number")?));
    }
    Ok(Target { sequence, time, kind, source, ends, standing })
}

/// The target whose form is `bytes`, to the last one.
pub(crate) fn decode_target(bytes: &[u8]) -> Result<Target, Malformed> {
    let mut from = Cursor::new(bytes);
    let target = read_target(&mut from)?;
    from.end()?;
    Ok(target)
}

fn encode_payment(payment: &Payment, out: &mut Vec<u8>) {
    let ids = [payment.device, payment.card, payment.ip, payment.channel, payment.session];
    let mut head = [0; 44];
    head[..16].copy_from_slice(&payment.user.bits().to_le_bytes());
    head[16..32].copy_from_slice(&payment.merchant.bits().to_le_bytes());
    head[32..40].copy_from_slice(&payment.amount.minor.to_le_bytes());
    head[40..43].copy_from_slice(&payment.amount.currency.bytes());
    head[43] = presence(ids) | u8::from(payment.mcc.is_some()) << 5 | u8::from(payment.country.is_some()) << 6;
    out.extend_from_slice(&head);
    put_ids(out, ids);
    if let Some(mcc) = payment.mcc {
        out.extend_from_slice(&mcc.to_le_bytes());
    }
    if let Some(country) = payment.country {
        out.extend_from_slice(&country.0);
    }
    assert!(payment.items.len() <= ITEMS_MAX, "a payment with {} items, at most {ITEMS_MAX} pass the door", payment.items.len());
    out.push(payment.items.len() as u8);
    for item in &payment.items {
        put_id(out, *item);
    }
}

fn decode_payment(from: &mut Cursor) -> Result<Payment, Malformed> {
    let user = from.id()?;
    let merchant = from.id()?;
    let amount = money(from)?;
    let bits = from.bits(7)?;
    let [device, card, ip, channel, session] =
        [from.id_if(bits, 0)?, from.id_if(bits, 1)?, from.id_if(bits, 2)?, from.id_if(bits, 3)?, from.id_if(bits, 4)?];
    let mcc = if bits & 1 << 5 == 0 { None } else { Some(from.u16()?) };
    let country = if bits & 1 << 6 == 0 { None } else { Some(Country(from.take()?)) };
    let count = usize::from(from.u8()?);
    if count > ITEMS_MAX {
        return Err(from.malformed("more items than a payment may have"));
    }
    let items = (0..count).map(|_| from.id()).collect::<Result<_, _>>()?;
    Ok(Payment { user, merchant, device, card, ip, amount, mcc, country, channel, session, items })
}

fn encode_payment_result(result: &PaymentResult, out: &mut Vec<u8>) {
    let ids = [result.reason, result.user];
    put_id(out, result.target);
    out.push(result.status as u8);
    out.push(presence(ids) | u8::from(result.amount_minor.is_some()) << 2 | u8::from(result.resolved.is_some()) << 3);
    put_ids(out, ids);
    if let Some(minor) = result.amount_minor {
        out.extend_from_slice(&minor.to_le_bytes());
    }
    put_target(out, result.resolved);
}

fn decode_payment_result(from: &mut Cursor) -> Result<PaymentResult, Malformed> {
    let target = from.id()?;
    let status = from.one_of(&PaymentStatus::ALL, 1, "no payment status has this number")?;
    let bits = from.bits(4)?;
    Ok(PaymentResult {
        target,
        status,
        reason: from.id_if(bits, 0)?,
        user: from.id_if(bits, 1)?,
        amount_minor: if bits & 1 << 2 == 0 { None } else { Some(from.i64()?) },
        resolved: if bits & 1 << 3 == 0 { None } else { Some(read_target(from)?) },
    })
}

fn encode_transfer(transfer: &Transfer, out: &mut Vec<u8>) {
    let ids = [transfer.from, transfer.to, transfer.from_bank, transfer.to_bank, transfer.format, transfer.user, transfer.device];
    put_money(out, transfer.amount);
    out.push(presence(ids));
    put_ids(out, ids);
}

fn decode_transfer(from: &mut Cursor) -> Result<Transfer, Malformed> {
    let amount = money(from)?;
    let bits = from.bits(7)?;
    Ok(Transfer {
        amount,
        from: from.id_if(bits, 0)?,
        to: from.id_if(bits, 1)?,
        from_bank: from.id_if(bits, 2)?,
        to_bank: from.id_if(bits, 3)?,
        format: from.id_if(bits, 4)?,
        user: from.id_if(bits, 5)?,
        device: from.id_if(bits, 6)?,
    })
}

fn encode_interaction(interaction: &Interaction, out: &mut Vec<u8>) {
    let ids = [interaction.merchant, interaction.surface, interaction.session, interaction.device, interaction.experiment];
    put_id(out, interaction.user);
    put_id(out, interaction.item);
    out.push(interaction.action as u8);
    out.push(presence(ids) | u8::from(interaction.dwell_ms.is_some()) << 5 | u8::from(interaction.propensity.is_some()) << 6);
    put_ids(out, ids);
    if let Some(dwell_ms) = interaction.dwell_ms {
        out.extend_from_slice(&dwell_ms.to_le_bytes());
    }
    if let Some(propensity) = interaction.propensity {
        out.extend_from_slice(&propensity.to_bits().to_le_bytes());
    }
}

fn decode_interaction(from: &mut Cursor) -> Result<Interaction, Malformed> {
    let user = from.id()?;
    let item = from.id()?;
    let action = from.one_of(&Action::ALL, 1, "no action has this number")?;
    let bits = from.bits(7)?;
    Ok(Interaction {
        user,
        item,
        action,
        merchant: from.id_if(bits, 0)?,
        surface: from.id_if(bits, 1)?,
        session: from.id_if(bits, 2)?,
        device: from.id_if(bits, 3)?,
        experiment: from.id_if(bits, 4)?,
        dwell_ms: if bits & 1 << 5 == 0 { None } else { Some(from.u32()?) },
        propensity: if bits & 1 << 6 == 0 { None } else { Some(f32::from_bits(from.u32()?)) },
    })
}

/// Bits: name, country, consent known, consent given, rating.
fn encode_profile(profile: &Profile, out: &mut Vec<u8>) {
    put_id(out, profile.user);
    let consent = profile.consent_personalization;
    out.push(
        presence([profile.name])
            | u8::from(profile.country.is_some()) << 1
            | u8::from(consent.is_some()) << 2
            | u8::from(consent == Some(true)) << 3
            | u8::from(profile.kyc_risk.is_some()) << 4,
    );
    put_ids(out, [profile.name]);
    if let Some(country) = profile.country {
        out.extend_from_slice(&country.0);
    }
    if let Some(rating) = profile.kyc_risk {
        out.push(rating as u8);
    }
}

fn decode_profile(from: &mut Cursor) -> Result<Profile, Malformed> {
    let user = from.id()?;
    let bits = from.bits(5)?;
    let consent_personalization = match (bits >> 2) & 0b11 {
        0b00 => None,
        0b01 => Some(false),
        0b11 => Some(true),
        _ => return Err(from.malformed("a consent that is given and not known")),
    };
    Ok(Profile {
        user,
        name: from.id_if(bits, 0)?,
        country: if bits & 1 << 1 == 0 { None } else { Some(Country(from.take()?)) },
        consent_personalization,
        kyc_risk: if bits & 1 << 4 == 0 { None } else { Some(from.one_of(&KycRisk::ALL, 1, "no rating has this number")?) },
    })
}
