//! A layer of a few kilobytes cannot exhaust the memory or the time of the reader.

use std::time::{Duration, Instant};

use golden::oci::media;
use golden::reference::Digest;

use crate::support::layout::{Base, gzip};
use crate::support::workspace::Golden;

/// The maximum memory of a run, in KiB.
const MEMORY: u64 = 256 << 10;
const TIME: Duration = Duration::from_mins(1);

type Archive = tar::Builder<Vec<u8>>;

fn entry(archive: &mut Archive, kind: tar::EntryType, name: &str, target: Option<&str>) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match target {
        None => archive
            .append_data(&mut header, name, std::io::empty())
            .unwrap(),
        Some(target) => archive.append_link(&mut header, name, target).unwrap(),
    }
}

/// An entry whose name, or another record, is in an extended header.
fn extended(archive: &mut Archive, key: &str, value: &str) {
    archive
        .append_pax_extensions([(key, value.as_bytes())])
        .unwrap();
    entry(archive, tar::EntryType::Regular, "x", None);
}

/// Builds on a base of these layers and watches the process. Returns the exit code, stderr and the
/// peak memory in KiB.
fn build(layers: Vec<Archive>) -> (i32, String, u64) {
    let golden = Golden::new().workspace("").image(
        "app",
        "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base:base:1\"\n[certs]\ntrust = [\"c.crt\"]\n",
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = rcgen::CertificateParams::new(vec!["a".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    golden.write("app/c.crt", signed.pem());
    let base = layers.into_iter().fold(Base::here(), |base, layer| {
        let plain = layer.into_inner().unwrap();
        base.layer_as(media::OCI_LAYER_GZIP, gzip(&plain), Digest::of(&plain))
    });
    base.write(&golden.path().join("base"), "base:1");
    let mut command = golden.command(&["build", "--engine", "embedded", "--to", "oci:out"]);
    let started = Instant::now();
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    let code = loop {
        #[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = high
            .and_then(|high| high.parse().ok())
            .unwrap_or(peak)
            .max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap();
        }
        assert!(started.elapsed() < TIME, "it takes longer than {TIME:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let stderr = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    (code, stderr, peak)
}

#[test]
fn memory_stays_bounded_for_every_layer() {
    use tar::EntryType::{Link, Regular, Symlink};
    let deep = |n: usize| format!("{n}{}", "/d".repeat(255));
    let fill = |make: &dyn Fn(&mut Archive)| {
        let mut archive = tar::Builder::new(Vec::new());
        make(&mut archive);
        archive
    };
    let many = |first: usize| {
        fill(&move |archive| {
            for n in first..first + 200_000 {
                entry(archive, Regular, &format!("etc/ssl/{n}"), None);
            }
        })
    };
    let more = "more names and certificates than golden can hold in memory";
    let cases: Vec<(&str, Vec<Archive>, &str)> = vec![
        (
            "a long name",
            vec![fill(&|archive| {
                entry(archive, Regular, &"a/".repeat(500_000), None);
            })],
            "it has a name of",
        ),
        (
            "a long name in an extended header",
            vec![fill(&|archive| {
                extended(archive, "path", &"a/".repeat(400_000));
            })],
            "it has a name of",
        ),
        (
            "a long extended header",
            vec![fill(&|archive| {
                extended(archive, "comment", &"a".repeat(4 << 20));
            })],
            "it has a name of",
        ),
        (
            "deep names",
            vec![fill(&|archive| {
                (0..2_000).for_each(|n| entry(archive, Regular, &deep(n), None));
            })],
            more,
        ),
        (
            "long targets",
            vec![fill(&|archive| {
                (0..11_000)
                    .for_each(|n| entry(archive, Symlink, &n.to_string(), Some(&"t".repeat(4096))));
            })],
            more,
        ),
        (
            "hard links",
            vec![fill(&|archive| {
                (0..160_000).for_each(|n| entry(archive, Link, &n.to_string(), Some("target")));
            })],
            more,
        ),
        (
            "many names",
            vec![fill(&|archive| {
                (0..320_000).for_each(|n| entry(archive, Regular, &n.to_string(), None));
            })],
            more,
        ),
        (
            "many layers",
            (0..3).map(|n| many(n * 200_000)).collect(),
            more,
        ),
    ];
    for (name, layers, why) in cases {
        let (code, stderr, peak) = build(layers);
        assert!(code == 1 && stderr.contains(why), "{name}: {code} {stderr}");
        assert!(peak < MEMORY, "{name}: {peak} KiB");
    }
}

#[test]
fn an_oversized_trust_store_is_refused() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, content: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    };
    file("etc/os-release", "ID=debian\n");
    file("usr/bin/apt-get", "");
    file("bin/sh", "");
    file("usr/bin/openssl", "");
    file("usr/sbin/update-ca-certificates", "LOCALCERTSDIR\n");
    file("etc/ca-certificates.conf", &"a\n".repeat(1 << 20));
    file("usr/share/ca-certificates/a", &"x".repeat(1 << 20));
    let (code, stderr, peak) = build(vec![archive]);
    assert!(
        code == 1 && stderr.contains("its trust store is larger than 16 MiB"),
        "{code} {stderr}"
    );
    assert!(peak < MEMORY, "{peak} KiB");
}
