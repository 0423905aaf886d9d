//! Certificates reach the trust store of each family; if they cannot, the build reports the cause.

use golden::engine::docker::Builder;
use golden::oci::Content;
use golden::resolve::image::{Base, Certificate, Family, FileKind, FileOwner};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::ONE;
use crate::docker::recipe::BUILDERS;
use crate::support::built::{Built, built, outcome};
use crate::support::images::{base, entry, image, numeric, step, text};

/// A new CA, and a certificate that it signed.
fn authority(name: &str) -> (Certificate, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["server.example".to_owned()]).unwrap();
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::new(params, key))
        .unwrap();
    let certificate = Certificate {
        file: "certs/ca.crt".into(),
        name: format!("{}.crt", name.to_lowercase()),
        pem: root.pem().replace("\r\n", "\n"),
        der: root.der().to_vec(),
        not_after: i64::MAX,
        subject: format!("CN={name}"),
    };
    (certificate, leaf.pem().replace("\r\n", "\n"))
}

#[tokio::test]
async fn a_real_debian_trusts_the_certificates() {
    for (reference, builder) in [("debian:12", Builder::Classic), ("debian-slim:12", ONE)] {
        let (root, leaf) = authority("Golden-Test-Root");
        let mut image = image(Family::Debian, base(reference));
        image.certificates = vec![root.clone()];
        image.files = vec![entry("/leaf.pem", 0o644, FileOwner::ROOT, text(&leaf))];
        image.packages.install = vec!["tini=0.*".to_owned()];
        image.run = vec![step(
            "groupadd -g 10001 app; useradd -u 10001 -g app app",
            None,
        )];
        image.config.user = Some("10001:10001".to_owned());
        let built = built(builder, &image).await;
        assert_eq!(built.config()["User"], serde_json::json!("10001:10001"));
        let openssl = ["openssl", "verify", "-verbose", "/leaf.pem"];
        assert_eq!(
            built.run(&openssl),
            "/leaf.pem: OK\n",
            "{reference} {builder:?}"
        );
        let files = built.files();
        assert!(
            String::from_utf8_lossy(&files["etc/ssl/certs/ca-certificates.crt"].content)
                .contains(&root.pem)
        );
        assert!(files.contains_key("usr/bin/tini"));
        let left: Vec<_> = files
            .keys()
            .filter(|path| path.starts_with("var/lib/apt/lists/"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A base of busybox with a script as the tool.
fn with_tool(family: Family, path: &str, script: &str) -> golden::resolve::ResolvedImage {
    let mut image = image(family, base("busybox:1.36"));
    image.certificates = vec![authority("One").0, authority("Two").0];
    image.run = vec![step("true", None)];
    image.files = vec![entry(
        "/placeholder",
        0o644,
        numeric(0, 0),
        FileKind::File(Content::inline(script.as_bytes())),
    )];
    path.clone_into(&mut image.files[0].path);
    image.files[0].mode = 0o755;
    image
}

#[tokio::test]
async fn a_missing_tool_and_a_missing_package_manager_are_both_named() {
    let table = [
        (
            Family::Debian,
            "update-ca-certificates",
            "there is no apt-get either",
        ),
        (
            Family::Alpine,
            "update-ca-certificates",
            "there is no apk either",
        ),
        (
            Family::Rhel,
            "update-ca-trust",
            "there is no dnf, microdnf or yum either",
        ),
    ];
    for (builder, (family, tool, why)) in BUILDERS.into_iter().cycle().zip(table) {
        let mut image = image(family, base("busybox:1.36"));
        image.certificates = vec![authority("One").0];
        let build_outcome = outcome(builder, &image, &[]).await;
        assert!(build_outcome.result.is_err());
        let log = build_outcome.logs().join("\n");
        assert!(log.contains(&format!("this base has no {tool}")), "{log}");
        assert!(log.contains(why), "{log}");
    }
}

#[tokio::test]
async fn a_failing_package_manager_is_named() {
    let table = [
        (Family::Debian, "/bin/apt-get", "apt-get update failed"),
        (Family::Alpine, "/bin/apk", "apk add failed"),
        (
            Family::Rhel,
            "/bin/microdnf",
            "/bin/microdnf install failed",
        ),
    ];
    for (family, manager, why) in table {
        let parent: golden::reference::Reference =
            format!("localhost/{}:1", crate::docker::recipe::unique())
                .parse()
                .unwrap();
        let mut with_manager =
            with_tool(family, manager, "#!/bin/sh\necho no network >&2\nexit 1\n");
        with_manager.certificates.clear();
        outcome(ONE, &with_manager, std::slice::from_ref(&parent))
            .await
            .built();
        let mut image = image(family, Base::Reference(parent));
        image.certificates = vec![authority("One").0];
        let build_outcome = outcome(ONE, &image, &[]).await;
        assert!(build_outcome.result.is_err());
        let log = build_outcome.logs().join("\n");
        assert!(log.contains("no network") && log.contains(why), "{log}");
    }
}

/// The layouts of Alpine and Red Hat, with a tool that prints its input, because their own bases
/// are unavailable here.
#[tokio::test]
async fn the_tool_of_each_family_runs_after_the_certificates_are_written() {
    let table = [
        (
            Family::Debian,
            "/usr/sbin/update-ca-certificates",
            "/usr/local/share/ca-certificates",
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        (
            Family::Alpine,
            "/usr/sbin/update-ca-certificates",
            "/usr/local/share/ca-certificates",
            "/etc/ssl/certs/ca-certificates.crt",
        ),
        (
            Family::Rhel,
            "/usr/bin/update-ca-trust",
            "/etc/pki/ca-trust/source/anchors",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        ),
    ];
    for (builder, (family, tool, directory, bundle)) in BUILDERS.into_iter().cycle().zip(table) {
        let parent: golden::reference::Reference =
            format!("localhost/{}:1", crate::docker::recipe::unique())
                .parse()
                .unwrap();
        let script =
            format!("#!/bin/sh\necho \"tool $*\"\nls {directory}\ngrep -c BEGIN {bundle}\n");
        let mut with_tool = with_tool(family, tool, &script);
        with_tool.certificates.clear();
        outcome(builder, &with_tool, std::slice::from_ref(&parent))
            .await
            .built();

        let mut image = image(family, Base::Reference(parent));
        image.certificates = vec![authority("One").0, authority("Two").0];
        let build_outcome = outcome(builder, &image, &[]).await;
        let (_, id) = build_outcome.built();
        let given = if family == Family::Rhel {
            "tool extract"
        } else {
            "tool"
        };
        assert_eq!(
            build_outcome
                .logs()
                .iter()
                .map(|line| line.trim())
                .collect::<Vec<_>>(),
            [given, "one.crt", "two.crt", "2"],
            "{builder:?} {family:?}"
        );
        let files = Built::named(id.as_str()).files();
        let file = &files[&format!("{}/one.crt", directory.trim_start_matches('/'))];
        assert_eq!((file.mode, file.owner), (0o644, (0, 0)));
        assert_eq!(file.content, image.certificates[0].pem.as_bytes());
    }
}

#[tokio::test]
async fn static_on_scratch_has_only_the_bundle() {
    for builder in BUILDERS {
        let mut image = image(Family::Static, Base::Scratch);
        image.certificates = vec![authority("Two").0, authority("One").0];
        let files = built(builder, &image).await.files();
        let bundle = format!("{}{}", image.certificates[0].pem, image.certificates[1].pem);
        assert_eq!(
            files["etc/ssl/certs/ca-certificates.crt"].content,
            bundle.as_bytes()
        );
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "etc",
                "etc/ssl",
                "etc/ssl/certs",
                "etc/ssl/certs/ca-certificates.crt"
            ],
            "{builder:?}"
        );
    }
}
