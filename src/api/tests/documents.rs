//! What describes the doors, and what every route has in common.

use super::{House, Options};
use crate::api::route::Route;
use crate::decision::{Outcome, Part, ReasonCode, Status};
use crate::event::{EventType, Field, LabelSource, PaymentStatus, Refusal, Verdict};
use crate::render::{PolicyTexts, View, decision};
use axum::routing::MethodFilter;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

fn openapi() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("JSON")
}

fn schema(name: &str) -> Value {
    let house = House::open(Options::default());
    let reply = house.client().get(&format!("/schemas/{name}"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/schema+json")));
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// The texts of a JSON list.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text")).collect()
}

/// Planted: a route left out of the document, a path in it without a route; both were told.
#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    // Pages are for people; the demonstration's door is no part of the service.
    let for_programs = |route: &Route| !matches!(route, Route::Console | Route::ConsoleFile | Route::Attack);
    let routes: BTreeSet<(String, String)> = Route::ALL
        .into_iter()
        .filter(for_programs)
        .map(|route| (route.pattern().to_owned(), if route.method() == MethodFilter::POST { "post" } else { "get" }.to_owned()))
        .collect();
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().expect("methods").keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(routes, described);
    let mut names = BTreeSet::new();
    for (path, item) in paths {
        for operation in item.as_object().expect("methods").values() {
            assert!(operation["responses"].get("default").is_some() && operation["responses"].get("200").is_some(), "{path}");
            assert!(names.insert(operation["operationId"].as_str().expect("a name")), "{path}");
            assert!(operation["security"].is_array(), "{path} says who may use it");
        }
    }
}

/// Every reference inside the document leads somewhere; every schema it names is served.
#[test]
fn references_lead_somewhere() {
    fn walk(document: &Value, value: &Value, served: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| name == "$ref") {
                        Some(reference) => match reference.strip_prefix('#') {
                            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
                            None => drop(served.insert(reference.to_owned())),
                        },
                        None => walk(document, member, served),
                    }
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| walk(document, entry, served)),
            _ => {}
        }
    }
    let document = openapi();
    let mut served = BTreeSet::new();
    walk(&document, &document, &mut served);
    assert!(served.len() >= 4, "{served:?}");
    let house = House::open(Options::default());
    let mut client = house.client();
    let named = &document["paths"]["/schemas/{name}"]["get"]["parameters"][0]["schema"]["enum"];
    for path in served.iter().cloned().chain(texts(named).into_iter().map(|name| format!("/schemas/{name}"))) {
        let schema: Value = serde_json::from_slice(&client.get(&path).body).expect("JSON");
        assert_eq!(schema["$id"], json!(path));
    }
    assert!(client.get("/schemas/none.json").problem(404)["detail"].as_str().expect("a text").contains("decision.json"));
    let reply = client.get("/openapi.json");
    assert_eq!(
        (reply.header("content-type"), serde_json::from_slice::<Value>(&reply.body).expect("JSON")),
        (Some("application/json"), document)
    );
}

/// Planted: `flagged` in place of `review`; told.
#[test]
fn the_schemas_say_what_the_code_says() {
    let decision = schema("decision.json");
    let at = |pointer| texts(decision.pointer(pointer).expect("there"));
    assert_eq!(at("/properties/outcome/enum"), Outcome::ALL.map(Outcome::name));
    assert_eq!(at("/properties/status/enum"), [Status::Evaluated, Status::Degraded, Status::Fallback].map(Status::name));
    // The judgement as a whole, and what a stream has not brought yet, are only ever skipped.
    let used = Part::ALL.into_iter().filter(|part| !matches!(part, Part::Judgement | Part::Stream)).map(Part::name);
    assert_eq!(at("/properties/used/items/enum"), used.collect::<Vec<_>>());
    assert_eq!(at("/properties/reasons/items/properties/code/enum"), ReasonCode::ALL.map(ReasonCode::name));
    for name in ["line-result.json", "rejected.json"] {
        assert_eq!(texts(&schema(name)["properties"]["reason"]["enum"]), Refusal::ALL.map(Refusal::code), "{name}");
    }
    let event = schema("event.json");
    let fields: BTreeSet<&str> = event["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
    assert_eq!(fields, Field::ALL.map(Field::name).into_iter().collect());
    assert_eq!(texts(&event["properties"]["status"]["enum"]), PaymentStatus::ALL.map(PaymentStatus::name));
    assert_eq!(texts(&event["properties"]["label"]["enum"]), Verdict::ALL.map(Verdict::name));
    assert_eq!(texts(&event["properties"]["source"]["enum"]), LabelSource::ALL.map(LabelSource::name));
    let types: Vec<&str> =
        event["oneOf"].as_array().expect("a list").iter().map(|one| one["properties"]["type"]["const"].as_str().expect("a text")).collect();
    assert_eq!(types, EventType::ALL.map(EventType::name));
    assert_eq!(types, texts(&event["properties"]["type"]["enum"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is rendered has the members of the schema, all of them, and those of its objects. Planted: `model` not required; told.
    #[test]
    fn decisions_keep_to_their_schema(one in crate::journal::examples::decision()) {
        let schema: Value = serde_json::from_str(include_str!("../schemas/decision.json")).expect("JSON");
        let mut json = Vec::new();
        decision(&one, View::Internal, &PolicyTexts::default(), &|_| None, &mut json);
        let rendered: Value = serde_json::from_slice(&json).expect("JSON");
        let members = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<String>>();
        let required = |schema: &Value| texts(&schema["required"]).into_iter().map(str::to_owned).collect::<BTreeSet<String>>();
        prop_assert_eq!(members(&rendered), required(&schema));
        prop_assert_eq!(members(&schema["properties"]), required(&schema));
        for list in ["reasons", "skipped"] {
            for entry in rendered[list].as_array().expect("a list") {
                prop_assert_eq!(members(entry), required(&schema["properties"][list]["items"]));
            }
        }
    }
}

#[test]
fn health_is_told_to_everybody() {
    let house = House::open(Options::default());
    let mut client = house.client();
    assert_eq!(client.get("/livez").text(), r#"{"alive":true}"#);
    let ready: Value = serde_json::from_slice(&client.get("/readyz").body).expect("JSON");
    assert_eq!(ready, json!({ "ready": true, "detail": "all is well" }));
    house.desk.unready.store(true, SeqCst);
    assert_eq!(client.get("/readyz").problem(503)["detail"], "recovering");
    let reply = client.get("/metrics");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    for line in [
        "http_requests_total{route=\"/livez\",status=\"200\"} 1",
        "http_requests_total{route=\"/readyz\",status=\"200\"} 1",
        "http_requests_total{route=\"/readyz\",status=\"503\"} 1",
        "service_ready 0",
        "http_connections 1",
    ] {
        assert!(reply.text().lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn what_is_not_there_is_a_problem() {
    let house = House::open(Options::default());
    let mut client = house.client();
    assert_eq!(client.get("/v1/nothing?key=secret").problem(404)["instance"], "/v1/nothing", "without what may be a secret");
    assert_eq!(client.get("/v1").problem(404)["type"], "urn:weir:problem:not-found");
    let reply = client.get("/v1/authorizations");
    reply.problem(405);
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = client.ask("DELETE /v1/decisions/a", "");
    reply.problem(405);
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
    client.request("HEAD /livez", "");
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(client.get("/livez").status, 200, "no body came behind the head");
    assert_eq!(house.metric("http_requests_total{route=\"none\",status=\"404\"}").as_deref(), Some("2"));
    assert_eq!(house.metric("http_requests_total{route=\"none\",status=\"405\"}").as_deref(), Some("2"));
}
