//! The page for people that the HTTP mode serves, and its data.

use serde_json::Value;

use super::http::Server;
use crate::Desk;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn story() -> Desk {
    let desk = Desk::new();
    for words in [
        ["remember", "ada/city", "London", "--from", "2019-03-01", "--db", "a.llmdb"],
        ["remember", "ada/city", "Paris", "--from", "2019-06-01", "--db", "a.llmdb"],
        ["remember", "eve/note", "<script>alert(1)</script>", "--from", "2019-06-01", "--db", "a.llmdb"],
    ] {
        desk.ok(&words);
    }
    desk
}

fn data(server: &Server, path: &str) -> (u16, Value) {
    let answer = server.send("GET", path, &[], b"");
    assert!(answer.headers.contains("content-type: application/json"), "{}", answer.headers);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}", answer.body)))
}

#[test]
fn the_page_brings_all_it_needs_and_may_do_nothing_else() {
    let desk = story();
    let server = Server::start(&desk, &[], None);
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let answer = server.send("GET", path, &[], b"");
        assert_eq!(answer.status, 200);
        assert!(answer.headers.contains(&format!("content-type: {kind}")), "{}", answer.headers);
        assert!(answer.headers.contains("content-security-policy: default-src 'none'"), "{}", answer.headers);
        assert!(answer.headers.contains("x-content-type-options: nosniff"));
        // The name of SVG's elements looks like an address; nothing is fetched from there.
        let body = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("http://") && !body.contains("https://") && !body.contains("innerHTML"));
    }
    assert_eq!(server.send("POST", "/", &[], b"").status, 405);
    assert_eq!(server.send("GET", "/", &[("Host", "evil.example")], b"").status, 403);
}

#[test]
fn the_data_is_what_the_memory_says() {
    let desk = story();
    let server = Server::start(&desk, &[], None);
    let texts = |path: &str| -> Vec<String> {
        let (status, found) = data(&server, path);
        assert_eq!(status, 200, "{found}");
        found["facts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fact| fact["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts("/api/facts"), ["Paris", "<script>alert(1)</script>"]);
    assert_eq!(texts("/api/facts?what=ada"), ["Paris"]);
    assert_eq!(texts("/api/facts?query=paris"), ["Paris"]);
    assert_eq!(texts("/api/facts?query=london&valid=2019-04-01"), ["London"]);
    assert_eq!(texts("/api/facts?known=2019-01-01").len(), 0);
    let (_, page) = data(&server, "/api/facts?limit=1");
    let cursor = page["cursor"].as_str().unwrap();
    let cursor = cursor.replace('/', "%2F");
    assert_eq!(texts(&format!("/api/facts?limit=1&cursor={cursor}")), ["<script>alert(1)</script>"]);
    let (_, history) = data(&server, "/api/history?key=ada%2Fcity");
    assert!(history["versions"].as_array().unwrap().len() >= 2, "{history}");
    let (_, graph) = data(&server, "/api/graph");
    assert_eq!((graph["total"].as_u64(), graph["entities"].as_array().map(Vec::len)), (Some(0), Some(0)));
    let before = data(&server, "/api/state").1["txid"].as_u64();
    desk.ok(&["remember", "bob/city", "Rome", "--db", "a.llmdb"]);
    assert!(data(&server, "/api/state").1["txid"].as_u64() > before, "another process wrote");
    for wrong in [
        "/api/facts?query=!",
        "/api/facts?valid=someday",
        "/api/facts?cursor=x",
        "/api/history?key=x",
        "/api/history?key=x%2Fy",
    ] {
        let (status, said) = data(&server, wrong);
        assert!((400..500).contains(&status) && said["error"].is_string(), "{wrong}: {status} {said}");
    }
    assert_eq!(server.send("GET", "/api/facts?limit=x", &[], b"").status, 400);
    assert_eq!(server.send("DELETE", "/api/facts", &[], b"").status, 405);
}

#[test]
fn the_data_stands_behind_the_token_and_the_page_before_it() {
    let desk = story();
    let server = Server::start(&desk, &[], Some(TOKEN));
    assert_eq!(server.send("GET", "/", &[], b"").status, 200);
    assert_eq!(server.send("GET", "/page.js", &[], b"").status, 200);
    for path in ["/api/state", "/api/facts", "/api/history?key=ada%2Fcity", "/api/graph", "/page.js/"] {
        assert_eq!(server.send("GET", path, &[], b"").status, 401, "{path}");
    }
    assert_eq!(server.send("POST", "/", &[], b"").status, 401);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(server.send("GET", "/api/facts", &[("Authorization", &bearer)], b"").status, 200);
}
