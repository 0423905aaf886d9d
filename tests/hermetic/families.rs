//! The family of a base is detected from its files, not from its name.

use std::collections::BTreeMap;
use std::io::Read as _;

use golden::reference::Digest;
use serde_json::Value;

use crate::support::layout::{Base, blob_path};
use crate::support::workspace::{Golden, Run};

const DEBIAN: (&str, char, &str) = ("etc/os-release", 'f', "ID=debian\n");
const UBI: (&str, char, &str) = ("etc/os-release", 'f', "ID=\"rhel\"\nID_LIKE=\"fedora\"\n");
const APT: (&str, char, &str) = ("usr/bin/apt-get", 'f', "");
const SHELL: (&str, char, &str) = ("bin/sh", 'f', "");
/// The text that golden recognises in Debian's tool.
const TOOL: (&str, char, &str) = (
    "usr/sbin/update-ca-certificates",
    'f',
    "LOCALCERTSDIR=/usr/local/share/ca-certificates\n",
);

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = rcgen::CertificateParams::new(vec!["corp".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    signed.pem().replace("\r\n", "\n")
}

/// A workspace with an image on this base, which trusts a certificate.
struct Fixture {
    golden: Golden,
    certificate: String,
}

impl Fixture {
    fn new(base: &[(&str, char, &str)], keys: &str, rest: &str) -> Self {
        let text = format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base:corp/base:1\"\n{keys}\n\
             [certs]\ntrust = [\"c.crt\"]\n{rest}\n"
        );
        let certificate = certificate();
        let golden = Golden::new()
            .workspace("")
            .image("app", &text)
            .file("app/c.crt", &certificate)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        Base::here()
            .layer(base)
            .write(&golden.path().join("base"), "corp/base:1");
        Self {
            golden,
            certificate,
        }
    }

    fn build(&self) -> Run {
        self.golden
            .run(&["build", "--engine", "embedded", "--to", "oci:out"])
    }

    /// A blob of the output, by its descriptor.
    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        read(&blob_path(&self.golden.path().join("out"), &digest))
    }

    fn manifest(&self) -> Value {
        let index = read(&self.golden.path().join("out/index.json"));
        let index: Value = serde_json::from_slice(&index).unwrap();
        serde_json::from_slice(&self.blob(&index["manifests"][0])).unwrap()
    }

    /// The variables of the image, except PATH.
    fn env(&self) -> Vec<String> {
        let config: Value = serde_json::from_slice(&self.blob(&self.manifest()["config"])).unwrap();
        let env = config["config"]["Env"].as_array().unwrap();
        let texts = env
            .iter()
            .map(|variable| variable.as_str().unwrap().to_owned());
        texts.filter(|text| !text.starts_with("PATH=")).collect()
    }

    /// The files and links of the layers that were added: their content, or ` -> TARGET`.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for layer in self.manifest()["layers"].as_array().unwrap().iter().skip(1) {
            let bytes = self.blob(layer);
            let mut archive =
                tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                if entry.header().entry_type().is_file() {
                    entry.read_to_string(&mut text).unwrap();
                    files.insert(path, text);
                } else if let Some(target) = entry.link_name().unwrap() {
                    files.insert(path, format!(" -> {}", target.display()));
                }
            }
        }
        files
    }
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn read(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_renamed_debian_gets_the_files_of_its_own_tool() {
    let conf = (
        "etc/ca-certificates.conf",
        'f',
        "mozilla/a.crt\n!mozilla/b.crt\n",
    );
    let (a, b) = (certificate(), certificate());
    let base = [
        DEBIAN,
        APT,
        SHELL,
        TOOL,
        conf,
        ("usr/bin/openssl", 'f', ""),
        ("usr/share/ca-certificates/mozilla/a.crt", 'f', &a),
        ("usr/share/ca-certificates/mozilla/b.crt", 'f', &b),
        ("etc/ssl/certs/ca-certificates.crt", 'f', &a),
    ];
    let fixture = Fixture::new(&base, "", "");
    let stderr = fixture.build().exit(0).stderr;
    assert!(!stderr.contains("warning"), "{stderr}");
    let files = fixture.files();
    assert_eq!(
        files["usr/local/share/ca-certificates/c.crt"],
        fixture.certificate
    );
    // A certificate that the base deactivated stays deactivated.
    assert_eq!(
        files["etc/ssl/certs/ca-certificates.crt"],
        format!("{a}{}", fixture.certificate)
    );
}

#[test]
fn a_base_without_tools_gets_the_certificates_in_its_bundle() {
    let public = certificate();
    let bundle = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    let base = [
        UBI,
        (bundle, 'f', &public),
        (
            "etc/pki/tls/certs/ca-bundle.crt",
            's',
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        ),
        ("etc/ssl/certs", 's', "../pki/tls/certs"),
    ];
    let fixture = Fixture::new(&base, "", "");
    fixture.build().exit(0);
    let expected = BTreeMap::from([(
        bundle.to_owned(),
        format!("{public}{}", fixture.certificate),
    )]);
    assert_eq!(fixture.files(), expected);

    // Every bundle that is a regular file gets the certificates.
    let base = [
        ("etc/ssl/cert.pem", 'f', &*public),
        ("etc/ssl/certs/ca-certificates.crt", 'f', ""),
    ];
    let fixture = Fixture::new(&base, "", "");
    fixture.build().exit(0);
    assert_eq!(
        fixture.files()["etc/ssl/cert.pem"],
        format!("{public}{}", fixture.certificate)
    );
    assert_eq!(
        fixture.files()["etc/ssl/certs/ca-certificates.crt"],
        fixture.certificate
    );
}

#[test]
fn a_family_that_contradicts_the_base_gives_a_warning() {
    let fixture = Fixture::new(&[DEBIAN, APT, SHELL], "family = \"static\"", "");
    let stderr = fixture.build().exit(0).stderr;
    let warning =
        "its spec has the family static, but its base oci:../base:corp/base:1 looks like debian";
    assert!(stderr.contains(warning), "{stderr}");
    let plan = fixture.golden.run(&["plan"]).exit(0).stderr;
    assert!(plan.contains(warning), "{plan}");
    fixture.golden.write("app/image.toml", "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base:corp/base:1\"\nfamily = \"static\"\n");
    assert!(!fixture.build().exit(0).stderr.contains("family"));
}

#[test]
fn a_base_of_an_unknown_distribution_requires_the_family() {
    let suse = [
        (
            "etc/os-release",
            'f',
            "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
        ),
        ("usr/bin/zypper", 'f', ""),
    ];
    let text = "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"localhost:1/corp/base:1\"\n[packages]\ninstall = [\"curl\"]\n";
    let golden = Golden::new().workspace("").image("app", text);
    let check = golden.run(&["check"]).exit(0).stderr;
    assert!(
        check.contains("warning[spec.family]: the name of the base does not show its family"),
        "{check}"
    );
    let render = golden.run(&["render"]).exit(2).stderr;
    assert!(
        render.contains("the name of its base does not show its family"),
        "{render}"
    );
    assert!(
        render.contains("set family = \"debian\", \"alpine\", \"rhel\" or \"static\" in [image]"),
        "{render}"
    );

    // If golden recognises nothing in the base, the name of the layout determines the family.
    let fixture = Fixture::new(&suse, "", "");
    fixture.build().exit(0);
}

#[test]
fn a_base_without_a_shell_is_refused_before_the_build() {
    for (rest, what, hint) in [
        ("", "[certs]", "set family = \"static\" in [image]"),
        (
            "[packages]\ninstall = [\"curl\"]",
            "[packages]",
            "use a base with a shell and a package manager",
        ),
    ] {
        let bundle = ("etc/ssl/certs/ca-certificates.crt", 'f', "");
        let fixture = Fixture::new(&[DEBIAN, bundle], "family = \"debian\"", rest);
        for engine in ["embedded", "docker"] {
            let stderr = fixture
                .golden
                .run(&["build", "--engine", engine])
                .exit(2)
                .stderr;
            let why = format!(
                "app:1.0.0: {what} needs the tools of the family debian, but its base oci:../base:corp/base:1 has no \
                 /bin/sh to run them"
            );
            assert!(stderr.contains(&why) && stderr.contains(hint), "{stderr}");
        }
    }
    let packages = "[packages]\ninstall = [\"curl\"]";
    let fixture = Fixture::new(&[DEBIAN], "family = \"static\"", packages);
    let stderr = fixture.golden.run(&["check"]).exit(2).stderr;
    assert!(
        stderr.contains("a base of the family static has no package manager"),
        "{stderr}"
    );
}

#[test]
fn a_java_key_store_without_the_certificates_gives_a_warning() {
    let own = "/opt/java/openjdk/lib/security/cacerts";
    let base = [
        ("opt/java/openjdk/lib/security/cacerts", 'f', "keys"),
        (
            "usr/lib/jvm/java-17/lib/security/cacerts",
            's',
            "/etc/ssl/certs/java/cacerts",
        ),
        ("etc/ssl/certs/java/cacerts", 'f', "keys"),
    ];
    let fixture = Fixture::new(&base, "", "");
    let stderr = fixture.build().exit(0).stderr;
    let warnings: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("Java programs"))
        .collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(
        warnings[0].contains(&format!("{own} does not get the certificates of [certs]")),
        "{stderr}"
    );
    assert!(fixture.golden.run(&["plan"]).exit(0).stderr.contains(own));
}

#[test]
fn an_image_on_an_image_of_the_workspace_has_the_family_of_the_lowest_base() {
    let fixture = Fixture::new(&[DEBIAN, APT, SHELL], "", "");
    let parent =
        "[image]\nname = \"parent\"\nversion = \"1.0.0\"\nbase = \"oci:../base:corp/base:1\"\n";
    fixture.golden.write("parent/image.toml", parent);
    let child = "[image]\nname = \"child\"\nversion = \"1.0.0\"\nbase = { image = \"parent\" }\n[packages]\ninstall = [\"Curl\"]\n";
    fixture.golden.write("child/image.toml", child);
    let stderr = fixture.golden.run(&["plan", "child"]).exit(2).stderr;
    assert!(
        stderr.contains("child:1.0.0: [packages]: `Curl` is not the name of a package"),
        "{stderr}"
    );
}

#[test]
fn variables_lead_to_a_bundle_that_exists() {
    let bundle = "etc/pki/tls/certs/ca-bundle.crt";
    let base = [UBI, (bundle, 'f', "")];
    let rest = "env = true\n[env]\nGIT_SSL_CAINFO = \"/own.pem\"\nREQUESTS_CA_BUNDLE = false\n";
    let fixture = Fixture::new(&base, "", rest);
    fixture.build().exit(0);
    assert_eq!(
        fixture.env(),
        [
            "GIT_SSL_CAINFO=/own.pem",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
        ]
    );
    assert_eq!(fixture.files()[bundle], fixture.certificate);
    assert_eq!(
        fixture.files()["etc/ssl/certs/ca-certificates.crt"],
        format!(" -> /{bundle}")
    );
    let text = fixture.golden.run(&["render"]).exit(0).stdout;
    assert!(text.contains("ENV SSL_CERT_FILE="), "{text}");
}

#[test]
fn keystores_need_an_engine_and_a_shell() {
    let bundle = ("etc/ssl/certs/ca-certificates.crt", 'f', "");
    let fixture = Fixture::new(&[DEBIAN, APT, SHELL, TOOL, bundle], "", "java = true\n");
    let stderr = fixture.build().exit(2).stderr;
    let why =
        "only the docker engine can build this image: [certs] java = true: keytool of the image";
    assert!(stderr.contains(why), "{stderr}");
    let stderr = fixture.golden.run(&["build"]).exit(1).stderr;
    assert!(stderr.contains("/nowhere/docker.sock"), "{stderr}");

    let fixture = Fixture::new(&[UBI, bundle], "", "java = true\n");
    for engine in ["embedded", "docker"] {
        let run = fixture.golden.run(&["build", "--engine", engine]).exit(2);
        let why = "its base oci:../base:corp/base:1 has no shell to run keytool in";
        assert!(run.stderr.contains(why), "{engine}: {}", run.stderr);
    }
    let fixture = Fixture::new(&[DEBIAN], "family = \"static\"", "java = true\n");
    let stderr = fixture.golden.run(&["check"]).exit(2).stderr;
    let why = "the family `static` has no shell to run keytool in";
    assert!(stderr.contains(why), "{stderr}");
}
