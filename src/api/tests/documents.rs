//! What describes the doors, and what every route has in common.

use super::{House, Options};
use crate::api::route::Route;
use crate::event::Refusal;
use axum::routing::MethodFilter;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

#[test]
fn the_reasons_of_lines_are_those_of_the_code() {
    assert_eq!(texts(&schema("line-result.json")["properties"]["reason"]["enum"]), Refusal::ALL.map(Refusal::code));
}

/// The index names every schema, and each is served as it is committed. Planted: a schema that is not in the list of the document; told.
#[test]
fn every_schema_is_listed_and_served() {
    let house = House::open(Options::default());
    let mut client = house.client();
    let index: Value = serde_json::from_slice(&client.get("/schemas").body).expect("JSON");
    let listed: Vec<&str> = index["schemas"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name")).collect();
    assert_eq!(listed, texts(&openapi()["paths"]["/schemas/{name}"]["get"]["parameters"][0]["schema"]["enum"]));
    for one in index["schemas"].as_array().expect("a list") {
        let name = one["name"].as_str().expect("a name");
        let committed = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name)).expect("committed");
        assert_eq!(client.get(one["url"].as_str().expect("a path")).body, committed, "{name}");
        let schema: Value = serde_json::from_slice(&committed).expect("JSON");
        assert_eq!((&one["title"], &one["description"]), (&schema["title"], &schema["description"]), "{name}");
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 20), "{name}");
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
