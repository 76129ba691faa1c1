//! A module is sent while it is read, with its length and with progress.

mod stub;

use gateway_client::{ClientError, Upload};
use std::io::Write;
use std::sync::{Arc, Mutex};
use stub::{Stub, answer};

const MODULE: &str = r#"{"id": "ab", "name": "filter", "version": 1, "bytes": 200000,
    "uploaded_at_ms": 0, "function_count": 1, "imports": [], "exports": [], "memory": null,
    "data_bytes": 0, "proposals": [], "known_answers": [], "artifacts": []}"#;

#[tokio::test]
async fn a_file_arrives_whole_with_its_length_and_progress() {
    let stub = Stub::start(|_, before| {
        answer(if before == 0 { 201 } else { 200 }, "application/json", MODULE)
    })
    .await;
    let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content).unwrap();
    let upload = Upload::from_file(file.path()).await.unwrap();
    assert_eq!(upload.len_bytes(), 200_000);

    let steps = Arc::new(Mutex::new(Vec::new()));
    let kept = steps.clone();
    let on_progress = move |sent, total| kept.lock().unwrap().push((sent, total));
    let pushed = stub.client().push_module(Some("a b"), &upload, on_progress).await.unwrap();
    assert!(pushed.is_new);
    assert_eq!(pushed.module.name, "filter");

    let asked = stub.asked().remove(0);
    assert_eq!(asked.path, "/api/v1/modules?name=a+b");
    assert_eq!(asked.headers["content-length"], "200000");
    assert!(asked.body == content);
    let steps = steps.lock().unwrap().clone();
    assert_eq!(steps.last(), Some(&(200_000, 200_000)));
    assert!(steps.len() > 2 && steps.is_sorted());

    let again = stub.client().push_module(None, &upload, |_, _| {}).await.unwrap();
    assert!(!again.is_new);
}

#[tokio::test]
async fn an_empty_body_is_an_upload_too() {
    let stub = Stub::start(|_, _| answer(201, "application/json", MODULE)).await;
    let upload = Upload::from_bytes(Vec::new());
    stub.client().push_module(None, &upload, |_, _| {}).await.unwrap();
    assert_eq!(stub.asked()[0].headers["content-length"], "0");
}

#[tokio::test]
async fn what_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Upload::from_file(folder.path()).await.unwrap_err();
    let ClientError::ReadFile { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "it is a directory");
    let missing = folder.path().join("missing.wasm");
    let error = Upload::from_file(&missing).await.unwrap_err();
    assert!(error.to_string().contains("missing.wasm"), "{error}");
}
