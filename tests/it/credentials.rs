//! A login from a file and from a helper at a real registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::logins::with_helper;
use crate::support::services;
use crate::support::workspace::Golden;

#[test]
fn a_real_registry_accepts_the_login_of_a_file_and_of_a_store() {
    let host = services::registry_htpasswd();
    let (user, password) = (services::htpasswd_user(), services::htpasswd_password());
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let file = Golden::new().file(
        ".docker/config.json",
        format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#),
    );
    let script =
        format!(r#"printf '{{"ServerURL":"x","Username":"{user}","Secret":"{password}"}}'"#);
    let store = Golden::new().file(
        ".docker/config.json",
        format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"golden-real"}}"#),
    );
    for golden in [file, with_helper(store, "golden-real", &script)] {
        let run = golden.run(&["-vv", "ls", host]).exit(0);
        assert!(
            !run.stderr.contains(password) && !run.stderr.contains(&auth),
            "{}",
            run.stderr
        );
    }
    let wrong = Golden::new()
        .env("GOLDEN_REGISTRY_USER", user)
        .env("GOLDEN_REGISTRY_PASSWORD", "wrong");
    let run = wrong.run(&["-vv", "ls", host]).exit(1);
    assert!(
        run.stderr.contains("401 UNAUTHORIZED") && run.stderr.contains("docker login"),
        "{}",
        run.stderr
    );
}
