//! JSON lines: every type there and back, what is refused and why, and that nothing panics.

use super::wire::{Line, parse_event};
use super::*;
use proptest::prelude::*;

fn parse(json: &str) -> Result<Event, Fault> {
    parse_event(json.as_bytes(), &mut Reading::new(IdKey::FILES, 64), &mut ())
}

fn id(kind: IdKind, text: &str) -> Id {
    IdKey::FILES.id(kind, text.as_bytes())
}

fn money(minor: i64, code: &str) -> Money {
    Money { minor, currency: Currency::parse(code).unwrap() }
}

/// A full line of every type, its optional fields, and the body that it must give.
fn full_lines() -> Vec<(&'static str, Vec<&'static str>, Body)> {
    use IdKind as K;
    let some = |kind, text| Some(id(kind, text));
    vec![
        (
            r#"{"type":"payment","id":"e1","time":"2025-01-31T12:00:00Z","user":"u","merchant":"m","device":"d","card":"c","ip":"i","amount":1250,"currency":"EUR","mcc":"5411","country":"SE","channel":"web","session":"s","items":["a",{"item":"b","count":2}],"unknown":{"deep":[1]}}"#,
            vec!["device", "card", "ip", "mcc", "country", "channel", "session", "items", "unknown"],
            Body::Payment(Payment {
                user: id(K::User, "u"),
                merchant: id(K::Merchant, "m"),
                device: some(K::Device, "d"),
                card: some(K::Card, "c"),
                ip: some(K::Ip, "i"),
                amount: money(1250, "EUR"),
                mcc: Some(5411),
                country: Some(Country(*b"SE")),
                channel: some(K::Symbol, "web"),
                session: some(K::Session, "s"),
                items: Box::new([id(K::Item, "a"), id(K::Item, "b")]),
            }),
        ),
        (
            r#"{"type":"payment_result","id":"e1","time":"2025-01-31T12:00:00Z","target":"p","status":"declined_by_issuer","amount":5,"reason":"r","user":"u"}"#,
            vec!["amount", "reason", "user"],
            Body::PaymentResult(PaymentResult {
                target: id(K::Event, "p"),
                status: PaymentStatus::DeclinedByIssuer,
                amount_minor: Some(5),
                reason: some(K::Symbol, "r"),
                user: some(K::User, "u"),
                resolved: None,
            }),
        ),
        (
            r#"{"type":"transfer","id":"e1","time":"2025-01-31T12:00:00Z","from":"a","to":"b","amount":7,"currency":"SEK","from_bank":"x","to_bank":"y","format":"sepa","user":"u","device":"d"}"#,
            vec!["from", "from_bank", "to_bank", "format", "user", "device"],
            Body::Transfer(Transfer {
                from: some(K::Account, "a"),
                to: some(K::Account, "b"),
                amount: money(7, "SEK"),
                from_bank: some(K::Bank, "x"),
                to_bank: some(K::Bank, "y"),
                format: some(K::Symbol, "sepa"),
                user: some(K::User, "u"),
                device: some(K::Device, "d"),
            }),
        ),
        (
            r#"{"type":"session","id":"e1","time":"2025-01-31T12:00:00Z","user":"u","device":"d","ip":"i","action":"login","session":"s"}"#,
            vec!["device", "ip", "action", "session"],
            Body::Session(Session {
                user: id(K::User, "u"),
                device: some(K::Device, "d"),
                ip: some(K::Ip, "i"),
                action: some(K::Symbol, "login"),
                session: some(K::Session, "s"),
            }),
        ),
        (
            r#"{"type":"interaction","id":"e1","time":"2025-01-31T12:00:00Z","user":"u","item":"i","action":"cart","merchant":"m","dwell_ms":900,"surface":"feed","session":"s","device":"d","experiment":"x","propensity":0.25}"#,
            vec!["merchant", "dwell_ms", "surface", "session", "device", "experiment", "propensity"],
            Body::Interaction(Interaction {
                user: id(K::User, "u"),
                item: id(K::Item, "i"),
                action: Action::Cart,
                merchant: some(K::Merchant, "m"),
                dwell_ms: Some(900),
                surface: some(K::Symbol, "feed"),
                session: some(K::Session, "s"),
                device: some(K::Device, "d"),
                experiment: some(K::Experiment, "x"),
                propensity: Some(0.25),
            }),
        ),
        (
            r#"{"type":"item","id":"e1","time":"2025-01-31T12:00:00Z","item":"i","merchant":"m","category":"c","brand":"b","price":999,"currency":"JPY","title":"A \u00e9 title"}"#,
            vec!["merchant", "category", "brand", "price", "title"],
            Body::Item(Item {
                item: id(K::Item, "i"),
                merchant: some(K::Merchant, "m"),
                category: some(K::Symbol, "c"),
                brand: some(K::Symbol, "b"),
                price: Some(money(999, "JPY")),
                title: some(K::Name, "A é title"),
            }),
        ),
        (
            r#"{"type":"label","id":"e1","time":"2025-01-31T12:00:00Z","target":"p","label":"laundering","source":"analyst","scenario":"fan_in","user":"u","from":"a"}"#,
            vec!["scenario", "user", "from"],
            Body::Label(Label {
                target: id(K::Event, "p"),
                verdict: Verdict::Laundering,
                source: LabelSource::Analyst,
                scenario: some(K::Symbol, "fan_in"),
                user: some(K::User, "u"),
                from: some(K::Account, "a"),
                resolved: None,
            }),
        ),
        (
            r#"{"type":"profile","id":"e1","time":"2025-01-31T12:00:00Z","user":"u","name":"A B","country":"DE","consent_personalization":false,"kyc_risk":"high"}"#,
            vec!["name", "country", "consent_personalization", "kyc_risk"],
            Body::Profile(Profile {
                user: id(K::User, "u"),
                name: some(K::Name, "A B"),
                country: Some(Country(*b"DE")),
                consent_personalization: Some(false),
                kyc_risk: Some(KycRisk::High),
            }),
        ),
        (r#"{"type":"erase","id":"e1","time":"2025-01-31T12:00:00Z","user":"u"}"#, vec![], Body::Erase(Erase { user: id(K::User, "u") })),
    ]
}

#[test]
fn every_type_is_read_and_survives_being_written() {
    for (json, _, body) in full_lines() {
        let expected = Event { id: id(IdKind::Event, "e1"), time: parse_rfc_3339("2025-01-31T12:00:00Z").unwrap(), body };
        assert_eq!(parse(json).unwrap(), expected);
        let mut written = Vec::new();
        Line::parse(json.as_bytes()).unwrap().write(&mut written);
        assert_eq!(parse(std::str::from_utf8(&written).unwrap()).unwrap(), expected, "written and read again");
    }
}

/// Without an optional field a line is still an event, without any other it is refused for just that field.
#[test]
fn every_field_is_required_or_optional_as_the_contract_says() {
    for (json, optional, _) in full_lines() {
        let full: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        for name in full.keys() {
            let mut less = full.clone();
            less.remove(name);
            let mut null = full.clone();
            null.insert(name.clone(), serde_json::Value::Null);
            for line in [less, null] {
                let read = parse(&serde_json::to_string(&line).unwrap());
                // The other side of a transfer is enough; a label without a source is a chargeback; a price needs its currency.
                if optional.contains(&name.as_str()) || (name == "to" || name == "source") {
                    read.unwrap_or_else(|fault| panic!("{json} without {name}: {fault:?}"));
                } else {
                    let refused = Refused { reason: Refusal::Missing, field: Field::parse(name) };
                    assert_eq!(read.map_err(|fault| fault.refused), Err(refused), "{json} without {name}");
                }
            }
        }
    }
}

// Caught amounts read with `as i64` (1e30 became the greatest amount) and a list limit that was off by one.
#[test]
fn bad_lines_are_refused_with_their_reason() {
    use Refusal::*;
    let payment = |more: &str| format!(r#"{{"type":"payment","id":"e","time":"2025-01-31T12:00:00Z","user":"u","merchant":"m",{more}}}"#);
    let interaction = |more: &str| {
        format!(r#"{{"type":"interaction","id":"e","time":"2025-01-31T12:00:00Z","user":"u","item":"i","action":"view",{more}}}"#)
    };
    let paid = r#""amount":1,"currency":"EUR""#;
    let transfer = |more: &str| format!(r#"{{"type":"transfer","id":"e","time":"2025-01-31T12:00:00Z","currency":"EUR",{more}}}"#);
    let with_items = |count: usize| payment(&format!("{paid},\"items\":[{}]", vec!["\"a\""; count].join(",")));
    let cases = [
        (String::new(), Malformed, None, "no JSON object"),
        ("[1]".to_owned(), Malformed, None, "no JSON object"),
        ("{\"type\":".to_owned(), Malformed, None, "EOF"),
        (payment(paid) + "x", Malformed, None, "trailing"),
        (r#"{"id":"e"}"#.to_owned(), Missing, Some(Field::Type), "expected one of payment, payment_result"),
        (r#"{"type":"refund","id":"e"}"#.to_owned(), UnknownType, Some(Field::Type), "found \"refund\""),
        (r#"{"type":7,"id":"e"}"#.to_owned(), Invalid, Some(Field::Type), "found 7, expected a text"),
        (
            payment(r#""amount":"abc","currency":"EUR""#),
            Invalid,
            Some(Field::Amount),
            "amount: found \"abc\", expected an integer of minor units",
        ),
        (payment(r#""amount":1.5,"currency":"EUR""#), Invalid, Some(Field::Amount), "found 1.5"),
        (payment(r#""amount":1e30,"currency":"EUR""#), Invalid, Some(Field::Amount), "minor units"),
        (payment(r#""amount":99999999999999999999,"currency":"EUR""#), Invalid, Some(Field::Amount), "minor units"),
        (payment(r#""amount":-1,"currency":"EUR""#), Invalid, Some(Field::Amount), "found -1, expected 0 to"),
        (payment(r#""amount":1000000000001,"currency":"EUR""#), Invalid, Some(Field::Amount), "found 1000000000001"),
        (payment(r#""amount":1,"currency":"eur""#), Invalid, Some(Field::Currency), "ISO 4217"),
        (payment(r#""amount":1,"amount":1,"currency":"EUR""#), Contradictory, Some(Field::Amount), "twice"),
        (payment(r#""amount":1,"currency":"EUR","\u0069d":"other""#), Contradictory, Some(Field::Id), "twice"),
        (payment(&format!("{paid},\"mcc\":12345")), Invalid, Some(Field::Mcc), "four digits"),
        (payment(&format!("{paid},\"mcc\":\"54 1\"")), Invalid, Some(Field::Mcc), "four digits"),
        (payment(&format!("{paid},\"country\":\"se\"")), Invalid, Some(Field::Country), "capital"),
        (payment(&format!("{paid},\"device\":\"\"")), Invalid, Some(Field::Device), "empty"),
        (payment(&format!("{paid},\"device\":5")), Invalid, Some(Field::Device), "found 5, expected a text"),
        (
            payment(&format!("{paid},\"device\":\"{}\"", "é".repeat(33))),
            Oversized,
            Some(Field::Device),
            "found 66 bytes, expected at most 64",
        ),
        (payment(&format!("{paid},\"items\":\"a\"")), Invalid, Some(Field::Items), "list"),
        (payment(&format!("{paid},\"items\":[1]")), Invalid, Some(Field::Items), "neither"),
        (payment(&format!("{paid},\"items\":[{{\"item\":\"a\",\"item\":\"b\"}}]")), Invalid, Some(Field::Items), "neither"),
        (payment(&format!("{paid},\"items\":[\"\"]")), Invalid, Some(Field::Items), "empty"),
        (with_items(ITEMS_MAX + 1), Oversized, Some(Field::Items), "at most 32"),
        (interaction("\"propensity\":0"), Invalid, Some(Field::Propensity), "above 0"),
        (interaction("\"propensity\":1.01"), Invalid, Some(Field::Propensity), "above 0"),
        (interaction("\"propensity\":1e-60"), Invalid, Some(Field::Propensity), "above 0"),
        (interaction("\"dwell_ms\":-1"), Invalid, Some(Field::DwellMs), "milliseconds"),
        (transfer("\"amount\":5"), Contradictory, None, "neither from nor to"),
        (transfer("\"amount\":0,\"from\":\"a\",\"to\":\"a\""), Contradictory, None, "pays itself nothing"),
        (r#"{"type":"erase","id":"e","user":"u","time":"2025-01-31"}"#.to_owned(), Invalid, Some(Field::Time), "RFC 3339"),
        (r#"{"type":"erase","id":"e","user":"u","time":1738324800}"#.to_owned(), Invalid, Some(Field::Time), "RFC 3339"),
        (r#"{"type":"erase","id":"e","user":"u","time":"1899-12-31T23:59:59Z"}"#.to_owned(), TimeOutOfRange, Some(Field::Time), "1900"),
        (r#"{"type":"erase","id":"e","user":"u","time":"2200-01-01T00:00:00Z"}"#.to_owned(), TimeOutOfRange, Some(Field::Time), "2200"),
        (
            r#"{"type":"profile","id":"e","user":"u","time":"2025-01-31T12:00:00Z","consent_personalization":"yes"}"#.to_owned(),
            Invalid,
            Some(Field::ConsentPersonalization),
            "true or false",
        ),
        (
            r#"{"type":"label","id":"e","target":"t","time":"2025-01-31T12:00:00Z","label":"bad"}"#.to_owned(),
            Invalid,
            Some(Field::Label),
            "one of fraud, laundering, legitimate",
        ),
    ];
    for (line, reason, field, words) in cases {
        let fault = parse(&line).expect_err(&line);
        assert_eq!(fault.refused, Refused { reason, field }, "{line}: {}", fault.detail);
        assert!(fault.detail.contains(words), "{line}: {}", fault.detail);
    }
    assert!(parse(&with_items(ITEMS_MAX)).is_ok());
    assert!(parse(&payment(r#""amount":1000000000000,"currency":"EUR","mcc":742"#)).is_ok());
    assert!(parse(&transfer("\"amount\":1,\"from\":\"a\",\"to\":\"a\"")).is_ok());
    let not_utf8 = parse_event(b"{\"type\":\"\xff\"}", &mut Reading::new(IdKey::FILES, 64), &mut ()).unwrap_err();
    assert_eq!(not_utf8.refused.reason, Malformed);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_event(&bytes, &mut Reading::new(IdKey::FILES, 64), &mut ());
    }

    /// Fields of any type behind the contract's own names.
    #[test]
    fn no_json_panics(
        kind in prop::sample::select(&EventType::ALL[..]),
        fields in prop::collection::vec((prop::sample::select(&Field::ALL[..]), value()), 0..12),
    ) {
        let mut json = format!("{{\"type\":\"{}\",\"id\":\"x\",\"time\":\"2025-01-31T12:00:00Z\"", kind.name());
        for (field, value) in fields {
            json += &format!(",\"{}\":{value}", field.name());
        }
        let _ = parse(&(json + "}"));
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        "\\PC{0,80}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::sample::select(vec![
            "null",
            "true",
            "[]",
            "[[1]]",
            "{}",
            "[\"a\",{\"item\":\"b\"}]",
            "\"EUR\"",
            "5",
            "\"fraud\"",
            "\"view\""
        ])
        .prop_map(str::to_owned),
    ]
}
