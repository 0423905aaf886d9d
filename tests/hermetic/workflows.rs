//! The work of a new user, step by step at a terminal of 80 columns and 24 lines. Each command that a
//! user types is on the screen, in README or in `golden --help`; only its placeholders are filled in.

mod user;

use crate::support::workspace::Golden;
use user::{Home, User};

/// An unencrypted certificate authority.
fn certificate() -> String {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let name = rcgen::DnType::CommonName;
    parameters.distinguished_name.push(name, "Team Root");
    let key = rcgen::KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().pem()
}

#[test]
fn a_first_image_is_published() {
    let mut user = User::new(Home::Empty);
    let host = user.host();
    user.sees("golden --help", "  init         Create a workspace");
    user.types("golden init first", &[]);
    user.types("golden -w first check", &[]);
    user.types("golden -w first build", &[]);
    user.types(
        "golden -w first build --push --registry HOST[:PORT][/NAMESPACE]",
        &[("HOST[:PORT][/NAMESPACE]", &host)],
    );
    user.has_tags("example", &["0.1", "0.1.0", "latest"]);
}

#[test]
fn an_image_gets_the_certificate_of_a_company() {
    let mut user = User::new(Home::Workspace);
    user.uncomments("example/image.toml", "[certs]");
    user.uncomments("example/image.toml", "trust = [\"certs/*.crt\"] ");
    // The message about the missing file names its place.
    user.fails("golden check", 2);
    user.creates(
        "no file matches example/certs/*.crt",
        "example/certs/team.crt",
        &certificate(),
    );
    user.types("golden check", &[]);
    user.shows("read 1 certificate from 1 file");
    user.types("golden build --push", &[]);
    user.has_file("example", "latest", "etc/ssl/certs/");
}

#[test]
fn a_mistake_in_a_name_is_corrected() {
    let mut user = User::new(Home::Workspace);
    user.changes("example/image.toml", "[labels]", "[lables]");
    user.fails("golden chek", 2);
    user.shows("'check'");
    user.fails("golden check", 2);
    user.shows("example/image.toml:11:2");
    user.edits("example/image.toml", "lables", "labels");
    user.types("golden check", &[]);
    user.fails("golden build --push exampel", 2);
    user.shows("did you mean `example`?");
    user.corrects("golden build --push exampel", "exampel", "example");
    user.has_tags("example", &["0.1", "0.1.0", "latest"]);
}

#[test]
fn a_variant_gets_its_own_tags() {
    let mut user = User::new(Home::Published);
    user.copies("example/image.toml", "debug/image.toml");
    user.uncomments("debug/image.toml", "variant = \"debug\" ");
    user.types("golden build --push", &[]);
    let tags = [
        "0.1",
        "0.1-debug",
        "0.1.0",
        "0.1.0-debug",
        "debug",
        "latest",
    ];
    user.has_tags("example", &tags);
}

#[test]
fn a_patch_a_pre_release_and_a_backport_move_the_right_tags() {
    let mut user = User::new(Home::Published);
    user.types("golden bump app patch", &[("app", "example")]);
    user.shows("next: golden build --push");
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.1.1");
    // A pre-release moves no tag.
    user.types(
        "golden bump app patch",
        &[("app", "example"), ("patch", "0.2.0-rc.1")],
    );
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.1.1");
    user.types(
        "golden bump app patch",
        &[("app", "example"), ("patch", "minor")],
    );
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.2.0");
    // A backport moves only the tags of its own line.
    user.fails("golden bump example 0.1.2", 2);
    user.edits(
        "example/image.toml",
        "version = \"0.2.0\"",
        "version = \"0.1.2\"",
    );
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.2.0");
    user.points("example", "0.1", "0.1.2");
    let tags = [
        "0.1",
        "0.1.0",
        "0.1.1",
        "0.1.2",
        "0.2",
        "0.2.0",
        "0.2.0-rc.1",
        "latest",
    ];
    user.has_tags("example", &tags);
}

#[test]
fn a_change_without_a_new_version_is_published_as_the_next_version() {
    let mut user = User::new(Home::Published);
    user.changes("example/image.toml", "hello", "good morning");
    user.fails("golden build --push", 4);
    user.shows("env.GREETING changed");
    user.types("golden bump example 0.1.1", &[]);
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.1.1");
    user.points("example", "0.1", "0.1.1");
}

#[test]
fn a_bad_version_is_rolled_back_and_replaced() {
    let mut user = User::new(Home::Published);
    user.changes("example/image.toml", "hello", "broken");
    user.golden.run(&["bump", "example", "minor"]).exit(0);
    user.golden.run(&["build", "--push"]).exit(0);
    user.points("example", "latest", "0.2.0");
    user.sees("golden --help", "  rollback     Move the tags back");
    user.fails("golden rollback example", 2);
    user.confirms(
        "golden rollback --to <VERSION> <IMAGE>",
        &[("<VERSION>", "0.1.0"), ("<IMAGE>", "example")],
    );
    user.points("example", "latest", "0.1.0");
    user.types("golden verify example", &[]);
    // The bad version is not published again, and golden names the next one.
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.1.0");
    user.types("golden bump example 0.2.1", &[]);
    user.changes("example/image.toml", "broken", "hello");
    user.types("golden build --push", &[]);
    user.points("example", "latest", "0.2.1");
}

#[test]
fn an_image_is_deleted_with_its_tags() {
    let mut user = User::new(Home::Published);
    let reference = format!("{}/example:0.1.0", user.host());
    user.sees("golden --help", "  delete       Delete images by digest");
    // The user looks for the reference first.
    user.sees("golden ls example", "0.1.0 ");
    user.fails(&format!("golden delete {reference}"), 4);
    user.shows("help: --all-tags deletes the digest with every tag");
    // A refusal on the question changes nothing.
    let command = format!("golden delete {reference} --all-tags");
    user.answers(&command, "n", 2);
    user.shows("not confirmed; nothing was done");
    user.has_tags("example", &["0.1", "0.1.0", "latest"]);
    user.answers(&command, "y", 0);
    user.has_tags("example", &[]);
}

#[test]
fn an_image_is_published_to_a_registry_with_a_login() {
    let mut user = User::new(Home::WithLogin);
    user.fails("golden build --push", 1);
    user.shows("401 UNAUTHORIZED");
    let host = user.host();
    user.sets("GOLDEN_REGISTRY_USER", "GOLDEN_REGISTRY_USER", "ann");
    user.sets(
        "GOLDEN_REGISTRY_PASSWORD",
        "GOLDEN_REGISTRY_PASSWORD",
        "wrong",
    );
    let suggested = format!("GOLDEN_REGISTRY_HOST={host}");
    user.sets(&suggested, "GOLDEN_REGISTRY_HOST", &host);
    user.fails("golden build --push", 1);
    user.shows("401 UNAUTHORIZED");
    user.shows("rejected user `ann` (from GOLDEN_REGISTRY_USER)");
    user.sets(
        "GOLDEN_REGISTRY_PASSWORD",
        "GOLDEN_REGISTRY_PASSWORD",
        "secret",
    );
    user.types("golden build --push", &[]);
    user.has_tags("example", &["0.1", "0.1.0", "latest"]);
}

#[test]
fn a_job_of_ci_publishes_what_changed() {
    let mut user = User::new(Home::Workspace);
    user.sees(
        "golden --help",
        "`golden help` also lists the topics of the guide",
    );
    user.sees(
        "golden help",
        "  ci               GitHub Actions, GitLab, other CI",
    );
    user.sees(
        "golden help ci",
        "golden build --push publishes only the images that changed",
    );
    user.sees("golden help ci", "golden build --push --locked");
    user.sees("golden help ci", "golden check --format github");
    // The job has no terminal.
    let job = |golden: &Golden| {
        golden.run(&["check", "--format", "github"]).exit(0);
        golden.run(&["build", "--push", "--locked"]).exit(0).stdout
    };
    assert!(job(&user.golden).contains("published"));
    user.has_tags("example", &["0.1", "0.1.0", "latest"]);
    assert!(job(&user.golden).contains("unchanged"));
    user.changes("example/image.toml", "hello", "good morning");
    user.types("golden bump app patch", &[("app", "example")]);
    assert!(job(&user.golden).contains("published"));
    user.points("example", "latest", "0.1.1");
}
