//! `[certs] java = true` adds the certificates to the keystores of a real JDK.

use crate::support::built::Built;
use crate::support::workspace::Golden;
use crate::support::{services, tls};

/// Debian's JDK without Debian's own keystore, as the images of other publishers have it.
const JDK: &str = r#"
[packages]
install = ["openjdk-17-jre-headless"]
[[run]]
script = """
cp -rL /usr/lib/jvm/java-17-openjdk-* /opt/jdk
rm -r /opt/jdk/lib/security/cacerts /tmp/hsperfdata_root /etc/ca-certificates/update.d/jks-keystore
mv /etc/ssl/certs/java/cacerts /opt/jdk/lib/security/cacerts
apt-get purge -y openjdk-17-jre-headless
ln -s /opt/jdk/bin/java /opt/jdk/bin/keytool /usr/local/bin/
"""
"#;

/// The keystore of the JDK: its digest, and the aliases that golden added.
const KEYSTORE: &str = "ls -A /tmp; sha256sum /opt/jdk/lib/security/cacerts; \
     keytool -list -keystore /opt/jdk/lib/security/cacerts -storepass changeit | grep -o '^golden-[^,]*'";

#[test]
fn a_jdk_trusts_the_certificates_once() {
    let base = services::base_debian();
    let image = |name: &str, base: &str, rest: &str| {
        format!(
            "[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\nfamily = \"debian\"\n{rest}"
        )
    };
    let trust = "[certs]\ntrust = [\"../*.crt\"]\njava = true\n";
    let (_, one) = tls::signed(&["one.example"]);
    let (_, two) = tls::signed(&["two.example"]);
    let golden = Golden::new()
        .env("DOCKER_HOST", services::docker_host())
        .workspace("")
        .file("one.crt", one)
        .file("two.crt", two)
        .image("jdk", &image("java/jdk", &format!("\"{base}\""), JDK))
        .image(
            "first",
            &image("java/first", "{ image = \"java/jdk\" }", trust),
        )
        .image(
            "again",
            &image("java/again", "{ image = \"java/first\" }", trust),
        )
        .image("none", &image("java/none", &format!("\"{base}\""), trust));
    golden.run(&["build", "java/again"]).exit(0);
    let keystore = |name: &str| {
        let image = Built::named(&format!("localhost/java/{name}:1.0.0"));
        image.run(&["sh", "-c", KEYSTORE])
    };
    let first = keystore("first");
    assert_eq!(first.lines().skip(1).count(), 2, "{first}");
    assert_eq!(keystore("again"), first);

    let run = golden.run(&["build", "java/none"]).exit(1);
    let why = "[certs] java = true: the image has no keystore lib/security/cacerts";
    assert!(run.stderr.contains(why), "{}", run.stderr);
}
