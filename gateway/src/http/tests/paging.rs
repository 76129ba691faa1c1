//! Pages of lists, over HTTP.

use super::{Client, problem, text};
use crate::app::tests::fleet::{FakeDevice, plain_wasm};
use gateway_api::{Device, List, LogLine, Page, ProblemCode};
use serde_json::Value;

async fn page(client: &Client, path: &str) -> Page<Value> {
    let body = text(client.get(path).await).await;
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
}

#[tokio::test]
async fn every_long_list_comes_whole_or_in_pages_that_together_are_the_whole() {
    let client = Client::new();
    for number in 1..=5 {
        client.fleet.enrol(&FakeDevice::new(number, "x86_64-linux"));
        let name = format!("app-{number}");
        client.upload(&name, plain_wasm(number.into())).await;
        client.fleet.deploy(&name);
        client.fleet.work_well();
    }
    for path in ["devices", "modules", "deployments"] {
        let path = format!("/api/v1/{path}");
        let whole = page(&client, &path).await;
        assert_eq!((whole.items.len(), whole.total, &whole.next), (5, 5, &None), "{path}");
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let piece = page(&client, &format!("{path}?limit=2&cursor={cursor}")).await;
            assert_eq!(piece.total, 5);
            assert!(piece.items.len() <= 2);
            items.extend(piece.items);
            let Some(next) = piece.next else { break };
            cursor = next;
        }
        assert_eq!(items, whole.items, "{path}");
    }
    for path in ["ps", "applications", "logs", "published"] {
        let empty = page(&client, &format!("/api/v1/{path}?limit=2")).await;
        assert_eq!((empty.items.len(), empty.next), (0, None), "{path}");
    }
}

#[tokio::test]
async fn clients_that_know_no_pages_read_the_list_as_before() {
    let client = Client::new();
    client.fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    let body = text(client.get("/api/v1/devices").await).await;
    let list: List<Device> = serde_json::from_str(&body).unwrap();
    assert_eq!(list.items.len(), 1);
}

#[tokio::test]
async fn devices_are_chosen_ordered_and_cut_to_some_fields() {
    let client = Client::new();
    for number in 1..=3 {
        let target = if number == 2 { "riscv64-linux" } else { "x86_64-linux" };
        client.fleet.enrol(&FakeDevice::new(number, target));
    }
    let path = "/api/v1/devices?q=status:new%20-arch:riscv64&sort=-name&fields=name,target";
    let found = text(client.get(path).await).await;
    let expected = "{\"items\":[{\"name\":\"device-3\",\"target\":\"x86_64-linux\"},\
                    {\"name\":\"device-1\",\"target\":\"x86_64-linux\"}],\"total\":2}";
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_wrong_page_is_refused_in_words() {
    let client = Client::new();
    for (query, word) in [
        ("limit=0", "1 to 1000"),
        ("limit=many", "limit"),
        ("limit=-1", "limit"),
        ("cursor=AAAA", "begin without a cursor"),
        ("q=label:a", "there are status"),
        ("sort=height", "last_seen"),
        ("fields=ID", "names"),
        ("page=2", "page"),
    ] {
        let refused = problem(client.get(&format!("/api/v1/devices?{query}")).await).await;
        assert_eq!(refused.code, ProblemCode::BadRequest, "{query}");
        assert!(refused.detail.contains(word), "{query}: {}", refused.detail);
    }
}

#[tokio::test]
async fn older_log_lines_are_on_the_next_page() {
    let client = Client::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    client.fleet.enrol(&device);
    for number in 1..=5 {
        client.fleet.log(&device, &format!("line {number}"));
    }
    let read = async |cursor: &str| {
        let path = format!("/api/v1/logs?limit=2&cursor={cursor}");
        let body = text(client.get(&path).await).await;
        let page: Page<LogLine> = serde_json::from_str(&body).unwrap();
        let lines: Vec<String> = page.items.iter().map(|line| line.text.clone()).collect();
        (lines.join(","), page.next.unwrap_or_default())
    };
    let (newest, cursor) = read("").await;
    assert_eq!(newest, "line 4,line 5");
    let (before, cursor) = read(&cursor).await;
    assert_eq!(before, "line 2,line 3");
    assert_eq!(read(&cursor).await, ("line 1".to_owned(), String::new()));
}
