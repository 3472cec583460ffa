#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// Answers each request, in turn, with one of these; then hangs up on everybody.
fn node(answers: Vec<(&'static str, String)>) -> Rpc {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // Requests here are short: headers and a body of a known length.
            loop {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                if sent.len() >= length.trim().parse().unwrap() {
                    break;
                }
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            // A client that has seen enough may hang up first.
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
        }
    });
    Rpc::new(url, Some("secret"), Duration::from_secs(5)).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn answer(body: &str) -> Result<Value, RpcError> {
    run(node(vec![("200 OK", body.to_owned())]).call("eth_x", json!([])))
}

#[test]
fn an_answer_is_read_and_a_refusal_too() {
    assert_eq!(answer(r#"{"jsonrpc":"2.0","id":0,"result":"0x1f"}"#), Ok(json!("0x1f")));
    let refused = answer(r#"{"id":0,"error":{"code":3,"message":"execution reverted","data":"0x0102"}}"#);
    let Err(RpcError::Refused { code, data, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((code, data), (3, Some(vec![1, 2])));
}

#[test]
fn malformed_answers_are_reported() {
    for (body, word) in [
        ("<html>hello</html>", "not JSON"),
        ("{\"id\":0}", "neither result nor error"),
        ("[]", "neither result nor error"),
        ("", "not JSON"),
    ] {
        let Err(RpcError::Answer { why, .. }) = answer(body) else { panic!("{body}") };
        assert!(why.contains(word), "{why}");
    }
    let forbidden = run(node(vec![("403 Forbidden", String::new())]).call("eth_x", json!([])));
    assert!(matches!(forbidden, Err(RpcError::Answer { .. })), "{forbidden:?}");
    let moved = run(node(vec![("302 NetworkCheck\r\nlocation: http://127.0.0.1:1/", String::new())])
        .call("eth_x", json!([])));
    assert!(matches!(moved, Err(RpcError::Answer { .. })), "{moved:?}");
}

#[test]
fn an_answer_without_end_is_cut() {
    let endless = " ".repeat(ANSWER_BYTES_MAX + 1);
    let Err(RpcError::Answer { why, .. }) = answer(&endless) else { panic!("not cut") };
    assert!(why.contains("longer than"), "{why}");
}

#[test]
fn a_node_that_is_away_for_a_moment_is_asked_again() {
    let good = r#"{"id":0,"result":true}"#.to_owned();
    let rpc = node(vec![("503 Service Unavailable", String::new()), ("200 OK", good)]);
    assert_eq!(run(rpc.call("eth_x", json!([]))), Ok(json!(true)));
    let gone = run(node(Vec::new()).call("eth_x", json!([])));
    let Err(RpcError::Unreachable(why)) = gone else { panic!("{gone:?}") };
    assert!(!why.contains("secret") && !why.contains("http://"), "{why}");
}

#[test]
fn a_batch_is_answered_in_any_order_but_wholly() {
    let batch =
        |body: &str| run(node(vec![("200 OK", body.to_owned())]).calls("eth_x", &[json!([]), json!([])]));
    let answers = batch(r#"[{"id":1,"result":1},{"id":0,"error":{"code":-32000,"message":"no"}}]"#).unwrap();
    assert!(matches!(answers[0], Err(RpcError::Refused { .. })));
    assert_eq!(answers[1], Ok(json!(1)));
    assert!(batch(r#"[{"id":1,"result":1}]"#).is_err());
    assert!(batch(r#"[{"id":1,"result":1},{"id":7,"result":1}]"#).is_err());
    assert!(batch(r#"{"id":0,"result":1}"#).is_err());
}

#[test]
fn quantities_and_bytes_are_read_strictly() {
    assert_eq!(quantity("", &json!("0xff")), Ok(255));
    for bad in [json!("ff"), json!(255), json!("0x10000000000000000"), json!(null), json!("0x")] {
        assert!(quantity("", &bad).is_err(), "{bad}");
    }
    assert_eq!(fixed("", &json!("0x0102")), Ok([1, 2]));
    assert!(fixed::<2>("", &json!("0x010203")).is_err() && bytes("", &json!("0x1")).is_err());
}
