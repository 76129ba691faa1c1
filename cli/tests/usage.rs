//! Wrong usage ends with 2 and says what is right; every way to fail has its code.

mod stub;

use std::net::TcpListener;
use std::process::Stdio;
use stub::{Gateway, farrier, problem, run};

#[test]
fn wrong_usage_is_explained() {
    for (args, hint) in [
        (&["deploi"][..], "deploy"),
        (&["deploy"], "MODULE"),
        (&["deploy", "filter"], "--all"),
        (&["deploy", "filter", "--all", "--device", "pi"], "cannot be used with"),
        (&["deploy", "filter", "--all", "--timeout", "5"], "--wait"),
        (&["deploy", "filter", "--all", "--memory-bytes-max", "64KB"], "KiB"),
        (&["ps", "-o", "xml"], "json"),
        (&["ps", "--gateway", "http://a", "--context", "b"], "cannot be used with"),
        (&["context", "add", "a b", "--gateway", "http://a"], "are a name"),
        (&["ps", "-o", "table", "--json"], "cannot be used with"),
        (&["ps", "-q", "-v"], "cannot be used with"),
        (&["compile", "in.wasm", "-o", "out.aot"], "--target"),
        (&["compile", "i", "--target", "x86_64-linux", "--bounds", "soft", "-o", "o"], "software"),
        (&["compile", "i", "--target", "x86_64-linux", "--nan", "no", "-o", "o"], "as-computed"),
    ] {
        let ran = run(&mut farrier(args));
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(hint) && ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let ran = run(&mut farrier(&["--help"]));
    assert_eq!(ran.code, 0);
    for line in ["3    the module", "124  out of time", "FARRIER_TOKEN_FILE"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
}

#[test]
fn each_refusal_has_its_exit_code() {
    for (status, code, exit) in [
        (400, "bad-request", 1),
        (401, "login-required", 4),
        (403, "forbidden", 4),
        (404, "not-found", 3),
        (409, "conflict", 1),
        (500, "internal", 1),
    ] {
        let gateway = Gateway::start(move |_, _| problem(status, code));
        let ran = gateway.run(&["device", "show", "pi"]);
        assert_eq!(ran.code, exit, "{code}: {ran:?}");
        assert!(ran.stdout.is_empty());
        assert!(ran.stderr.starts_with("error: Refused for a test: Because of"), "{}", ran.stderr);
        // Where nothing is said, the problem's own detail does.
        let has_advice = ran.stderr.contains("  try: ");
        assert_eq!(has_advice, !matches!(status, 400 | 409), "{}", ran.stderr);
        assert!(ran.stderr.contains("  request id: r-17\n"), "{}", ran.stderr);
    }
}

#[test]
fn an_unreachable_gateway_is_named_with_what_to_try() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ran = run(&mut farrier(&["ps", "--gateway", &url]));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with(&format!("error: cannot reach the gateway at {url}\n")));
    assert!(ran.stderr.contains("  cause: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("  try: start the gateway"), "{}", ran.stderr);
}

#[test]
fn an_address_without_a_scheme_is_wrong_usage() {
    let ran = run(&mut farrier(&["ps", "--gateway", "example.org"]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("http://127.0.0.1:8080"), "{}", ran.stderr);
}

#[test]
fn the_token_comes_from_the_option_then_the_variable_then_the_file() {
    let gateway = Gateway::start(|_, _| (200, r#"{"items": []}"#.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (first, third) = (file("first", "one\n"), file("third", "three"));
    let first = first.to_str().unwrap();

    let mut all = gateway.command(&["ps", "--token-file", first]);
    run(all.env("FARRIER_TOKEN", "two").env("FARRIER_TOKEN_FILE", &third));
    let mut variables = gateway.command(&["ps"]);
    run(variables.env("FARRIER_TOKEN", "two").env("FARRIER_TOKEN_FILE", &third));
    run(gateway.command(&["ps"]).env("FARRIER_TOKEN_FILE", &third).env("FARRIER_TOKEN", ""));
    gateway.run(&["ps"]);
    let tokens: Vec<_> = gateway.asked().into_iter().map(|asked| asked.2).collect();
    assert_eq!(tokens, ["Bearer one", "Bearer two", "Bearer three", ""]);

    let ran = gateway.run(&["ps", "--token-file", "/nowhere/token"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("/nowhere/token"), "{}", ran.stderr);
    let empty = file("empty", "\n");
    assert_eq!(gateway.run(&["ps", "--token-file", empty.to_str().unwrap()]).code, 2);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let app: serde_json::Value =
        serde_json::from_str::<serde_json::Value>(include_str!("data/apps.json")).unwrap()[0]
            .clone();
    let many = serde_json::json!({ "items": vec![app; 2_000] }).to_string();
    let gateway = Gateway::start(move |_, _| (200, many.clone()));
    for format in ["table", "json", "name"] {
        let mut command = gateway.command(&["ps", "-o", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // As `| head -0` would: the reader goes before the first byte.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let ran = run(farrier(&["version"]).stdout(full));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: write to stdout"), "{}", ran.stderr);
}

#[test]
fn shells_complete_commands_and_what_the_gateway_knows() {
    let devices = include_str!("data/devices.json");
    let gateway = Gateway::start(move |_, path| match path {
        "/api/v1/devices" => (200, format!(r#"{{"items": {devices}}}"#)),
        _ => problem(404, "not-found"),
    });
    let complete = |words: &[&str]| {
        let mut command = gateway.command(&["--", "farrier"]);
        let index = words.len().to_string();
        command.args(words).env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
        let ran = run(command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["und"]), ["undeploy"]);
    assert_eq!(complete(&["device", "show", "p"]), ["pi"]);
    assert!(complete(&["deploy", "filter", "--device", "v"]).contains(&"vision".to_owned()));
    // Whatever the gateway answers, there is no error in the middle of a line.
    assert!(complete(&["module", "show", "f"]).is_empty());
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = run(&mut farrier(&["completion", shell]));
        assert!(ran.code == 0 && ran.stdout.contains("COMPLETE"), "{ran:?}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&mut farrier(&["man", folder.path().to_str().unwrap()]));
    assert_eq!(ran.code, 0, "{ran:?}");
    for page in ["farrier.1", "farrier-deploy.1", "farrier-context-add.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains("Examples:") && text.contains(".SH"), "{page}: {text}");
    }
    let ran = run(&mut farrier(&["man", "/dev/null/here"]));
    assert!(ran.code == 1 && ran.stderr.contains("/dev/null/here"), "{ran:?}");
}

#[test]
fn a_login_keeps_a_token_for_its_gateway_and_a_logout_revokes_and_forgets_it() {
    let gateway = Gateway::start(|method, path| match (method, path) {
        ("POST", "/api/v1/login") => (
            200,
            r#"{"user": "anna", "role": "operator", "issued": {"secret": "farrier-token.cc",
                "token": {"id": "3f09", "label": "x", "role": "operator"}}}"#
                .to_owned(),
        ),
        ("GET", "/api/v1/me") => (
            200,
            r#"{"user": "anna", "role": "operator",
                "token": {"id": "3f09", "label": "x", "role": "operator"}}"#
                .to_owned(),
        ),
        ("DELETE", "/api/v1/tokens/3f09") => (204, String::new()),
        _ => problem(404, "not-found"),
    });
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], gateway_url: Option<&str>| {
        let mut command = farrier(args);
        command.env("XDG_CONFIG_HOME", folder.path());
        if let Some(url) = gateway_url {
            command.args(["--gateway", url]);
        }
        run(&mut command)
    };
    let password = folder.path().join("password");
    std::fs::write(&password, "four words of mine\nand no more\n").unwrap();
    let password = password.to_str().unwrap();
    let login = run(&["login", "anna", "--password-file", password], Some(&gateway.url));
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert!(!format!("{login:?}").contains("farrier-token.cc"), "it is printed nowhere");
    let (_, body, token) = gateway.asked().pop().unwrap();
    assert!(body.contains(r#""password":"four words of mine""#) && token.is_empty(), "{body}");

    // From now on without an option.
    assert_eq!(run(&["whoami", "-o", "name"], None).stdout, "anna\n");
    assert_eq!(gateway.asked().pop().unwrap().2, "Bearer farrier-token.cc");
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("farrier/tokens"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(kept.len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let out = run(&["logout"], None);
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert_eq!(gateway.asked().pop().unwrap().0, "DELETE /api/v1/tokens/3f09");
    assert!(!kept[0].path().exists());
    let again = run(&["logout"], None);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("farrier token"), "{}", again.stderr);
    assert_eq!(run(&["whoami"], None).code, 0);
    assert_eq!(gateway.asked().pop().unwrap().2, "", "the context has no token any more");
}
