//! Every command that takes a reference also takes the name of a workspace image.

use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// The header for the user `ann` with the password `secret`.
const LOGIN: &str = "Basic YW5uOnNlY3JldA==";
const IMAGE: &str = "[image]\nname = \"team/app\"\nversion = \"1.2.3\"\nbase = \"scratch\"\n";

/// A registry with `team/app` in the namespace `golden`, and a workspace that publishes there.
fn setting() -> (FakeRegistry, Golden) {
    let registry = FakeRegistry::start(Behaviour::default());
    registry.image("golden/team/app", "a", &["1.2.3", "1.2", "1", "latest"]);
    registry.image("golden/team/app", "b", &["1.2.2"]);
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\nnamespace = \"golden\"\n\n[policy]\nrequired_labels = [\"owner\"]\n",
            registry.host()
        ))
        .image("app", IMAGE);
    (registry, golden)
}

#[test]
fn the_name_of_a_workspace_image_is_its_repository() {
    let (registry, golden) = setting();
    let repository = format!("{}/golden/team/app", registry.host());
    let same = |command: &str, code: i32| {
        let run = |name: &str| {
            let command = command
                .replace("{}", name)
                .replace("HOST", &registry.host());
            let arguments: Vec<&str> = command.split(' ').collect();
            let run = golden.run(&arguments).exit(code);
            (run.stdout, run.stderr)
        };
        let (by_name, by_reference) = (run("team/app"), run(&repository));
        assert_eq!(by_name.0, by_reference.0, "{command}");
        assert_eq!(by_name.1, by_reference.1, "{command}");
    };
    same("ls {} --format json", 0);
    same("inspect {}", 0);
    same("inspect {}:1.2.2 --format json", 0);
    same("audit {}:1.2.3", 3);
    same("verify {}:1.2.2", 0);
    same("verify {}:1.2 --format json", 5);
    same("promote {}:1.2.2 HOST/copy --dry-run", 0);
    same("delete {}:1.2.2 --dry-run", 0);
    same("delete {}:1.2.3 --untag --dry-run", 0);
    same("delete {}:1.2.3 --dry-run", 4);
    same("delete {} --repository --dry-run", 0);
}

/// A name without a host that is no image of the workspace means an image of Docker Hub.
#[test]
fn a_mistyped_image_name_is_explained() {
    let golden = Golden::new()
        .workspace("[[registry]]\nname = \"main\"\nhost = \"127.0.0.1:1\"\n")
        .image("app", &IMAGE.replace("team/app", "webserver"))
        .env("HTTPS_PROXY", "http://127.0.0.1:1");
    let hint = "`webserve` is not an image of this workspace, so it means docker.io/library/webserve; did you mean `webserver`?";
    for command in [
        "ls webserve",
        "inspect webserve",
        "delete webserve:1.0.0 --yes",
        "new t --from webserve",
        "impact webserve",
    ] {
        let run = golden.run(&command.split(' ').collect::<Vec<_>>()).exit(1);
        assert!(run.stderr.contains(hint), "{command}: {}", run.stderr);
    }
    let run = golden.run(&["delete", "main", "--yes"]).exit(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: `main` is a registry, not an image
      help: `golden ls --registry main` lists its repositories
    ");
}

/// Each failure shows the hint about its own argument.
#[test]
fn a_mistyped_image_name_is_explained_once() {
    let golden = Golden::new()
        .workspace("")
        .image("app", &IMAGE.replace("team/app", "app"))
        .env("HTTPS_PROXY", "http://127.0.0.1:1");
    let run = golden.run(&["audit", "apx:1", "apy:2"]).exit(1);
    insta::assert_snapshot!(run.stderr, @r"
    error: GET https://registry-1.docker.io/v2/library/apx/manifests/1: cannot connect: Connection refused (os error 111)
      help: check that the registry is running and that its address is right; behind a proxy, set HTTPS_PROXY
      help: `apx` is not an image of this workspace, so it means docker.io/library/apx; did you mean `app`?
    error: GET https://registry-1.docker.io/v2/library/apy/manifests/2: cannot connect: Connection refused (os error 111)
      help: check that the registry is running and that its address is right; behind a proxy, set HTTPS_PROXY
      help: `apy` is not an image of this workspace, so it means docker.io/library/apy; did you mean `app`?
    ");
}

#[test]
fn a_deletion_by_the_name_of_an_image_deletes_in_every_selected_registry() {
    let (registry, golden) = setting();
    let second = FakeRegistry::start(Behaviour::default());
    second.image("team/app", "b", &["1.2.2"]);
    let hosts = [format!("{}/golden", registry.host()), second.host()];
    golden
        .run(&[
            "delete",
            "team/app:1.2.2",
            "--yes",
            "--registry",
            &hosts[0],
            "--registry",
            &hosts[1],
        ])
        .exit(0);
    assert!(!registry.tags("golden/team/app").contains_key("1.2.2"));
    assert!(second.tags("team/app").is_empty());
    let run = golden
        .run(&[
            "inspect",
            "team/app:1.2.3",
            "--registry",
            &hosts[0],
            "--registry",
            &hosts[1],
        ])
        .exit(2);
    assert_eq!(
        run.stderr,
        format!(
            "error: `team/app:1.2.3` is in several registries: {}/team/app, {}/team/app\n  help: select one with --registry\n",
            hosts[0], hosts[1]
        )
    );
}

#[test]
fn a_repository_of_the_workspace_is_not_deleted_without_a_tag() {
    let (registry, golden) = setting();
    let run = golden.run(&["delete", "team/app", "--yes"]).exit(2);
    assert!(
        run.stderr
            .starts_with("error: `team/app` is a repository; specify a tag or a digest\n"),
        "{}",
        run.stderr
    );
    assert_eq!(registry.tags("golden/team/app").len(), 5);
}

#[test]
fn a_name_is_not_looked_up_elsewhere_if_a_spec_is_invalid() {
    let (registry, golden) = setting();
    let golden = golden.image("app", "[image]\nname = \"team/app\"\nversion = \n");
    let run = golden.run(&["delete", "team/app:1.2.2", "--yes"]).exit(2);
    assert!(run.stderr.contains("app/image.toml:3"), "{}", run.stderr);
    golden
        .run(&[
            "inspect",
            &format!("{}/golden/team/app:1.2.2", registry.host()),
        ])
        .exit(0);
}

#[test]
fn the_name_of_an_image_sends_no_login_to_a_registry_of_a_workspace_file() {
    let registry = FakeRegistry::start(Behaviour {
        authorization: Some((LOGIN.to_owned(), "Basic realm=\"r\"".to_owned())),
        ..Behaviour::default()
    });
    registry.image("team/app", "a", &["1.2.3"]);
    let golden = Golden::new()
        .workspace(&format!(
            "[[registry]]\nname = \"t\"\nhost = \"{}\"\n",
            registry.host()
        ))
        .image("app", IMAGE)
        .env("GOLDEN_REGISTRY_USER", "ann")
        .env("GOLDEN_REGISTRY_PASSWORD", "secret");
    for command in [
        "ls team/app",
        "inspect team/app:1.2.3",
        "verify team/app:1.2.3",
        "audit team/app:1.2.3",
        "delete team/app:1.2.3 --yes",
        "promote team/app:1.2.3 team/app:copy",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        golden.run(&arguments).exit(1);
    }
    let mut seen = registry.server.seen().into_iter();
    assert!(seen.all(|seen| seen.header("authorization").is_none()));
    golden
        .run(&["inspect", "team/app:1.2.3", "--registry", &registry.host()])
        .exit(0);
}
