//! `[[files]]`: existing entries of the base stay unchanged, a target that is a directory receives
//! the file, owner names become the numbers of the base, and two sources cannot have one target.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::support::layout::Base;
use crate::support::workspace::{Golden, Run};

/// A base like those of distributions: merged /usr, links to directories, a directory writable by
/// everyone.
fn base() -> Base {
    Base::here()
        .layer(&[
            ("etc", 'd', ""),
            (
                "etc/passwd",
                'f',
                "root:x:0:0::/:\napp:x:1001:1002::/:\nadmin:x:0:0::/:\n",
            ),
            ("etc/group", 'f', "root:x:0:\napp:x:1002:\nadm:x:4:\n"),
            ("etc/conf.d", 'd', ""),
            ("usr", 'd', ""),
            ("usr/bin", 'd', ""),
            ("usr/bin/sh", 'f', "the shell"),
            ("bin", 's', "usr/bin"),
        ])
        .layer(&[
            ("run", 'd', ""),
            ("var", 'd', ""),
            ("var/run", 's', "../run"),
            ("srv", 's', "/var/data"),
            ("var/data", 'd', ""),
        ])
}

/// A workspace with one image `app` on that base.
fn workspace(files: &str) -> Golden {
    let golden = Golden::new()
        .workspace("")
        .image(
            "app",
            &format!(
                "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"oci:../base:any\"\n{files}"
            ),
        )
        .env("SOURCE_DATE_EPOCH", "1700000000");
    base().write(&golden.path().join("base"), "any");
    golden
}

fn build(golden: &Golden) -> Run {
    golden.run(&["build", "--engine", "embedded", "--to", "oci:out"])
}

#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let (algorithm, hex) = digest.as_str().unwrap().split_once(':').unwrap();
    std::fs::read(layout.join("blobs").join(algorithm).join(hex)).unwrap()
}

/// The entries of the layer that golden added: path → `KIND MODE UID:GID CONTENT`.
#[expect(clippy::disallowed_methods, reason = "the test owns this file")]
fn top_layer(golden: &Golden) -> BTreeMap<String, String> {
    let layout = golden.path().join("out");
    let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let index = json(std::fs::read(layout.join("index.json")).unwrap());
    let manifest = json(blob(&layout, &index["manifests"][0]["digest"]));
    let layer = blob(
        &layout,
        &manifest["layers"].as_array().unwrap().last().unwrap()["digest"],
    );
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(flate2::read::MultiGzDecoder::new(layer.as_slice()))
        .entries()
        .unwrap()
    {
        let mut entry = entry.unwrap();
        let path = entry
            .path()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        let header = entry.header();
        let kind = if header.entry_type().is_dir() {
            'd'
        } else {
            'f'
        };
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        let mode = header.mode().unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        entries.insert(
            path,
            format!("{kind} {mode:o} {owner} {content}")
                .trim()
                .to_owned(),
        );
    }
    entries
}

#[test]
fn directories_and_links_of_the_base_stay_unchanged() {
    let golden = workspace(
        "[[files]]\nsource = \"rootfs\"\ntarget = \"/\"\nowner = \"1000:1000\"\nmode = \"0640\"\n\
         [[files]]\nsource = \"pid\"\ntarget = \"/var/run/\"\nowner = \"app\"\n\
         [[files]]\ntarget = \"/srv/\"\nowner = \"app\"\nmode = \"0700\"\n",
    )
    .file("app/rootfs/bin/tool", "tool")
    .file("app/rootfs/etc/new/conf", "conf")
    .file("app/pid", "1");
    build(&golden).exit(0);
    let seen: Vec<String> = top_layer(&golden)
        .iter()
        .map(|(path, what)| format!("{path}: {what}"))
        .collect();
    assert_eq!(
        seen,
        [
            "etc: d 755 0:0",
            "etc/new: d 750 1000:1000",
            "etc/new/conf: f 640 1000:1000 conf",
            "run: d 755 0:0",
            "run/pid: f 644 1001:1002 1",
            "usr: d 755 0:0",
            "usr/bin: d 755 0:0",
            "usr/bin/tool: f 640 1000:1000 tool",
        ]
    );
}

#[test]
fn a_file_whose_target_is_a_directory_goes_into_it() {
    for (target, placed) in [
        ("/usr/bin", "usr/bin/tool"),
        ("/bin", "usr/bin/tool"),
        ("/srv", "var/data/tool"),
        ("/", "tool"),
        ("/opt/tools", "opt/tools"),
    ] {
        let golden = workspace(&format!(
            "[[files]]\nsource = \"tool\"\ntarget = \"{target}\"\nmode = \"6755\"\nowner = \"app:adm\"\n"
        ))
        .file("app/tool", "x");
        build(&golden).exit(0);
        assert_eq!(top_layer(&golden)[placed], "f 6755 1001:4 x", "{target}");
    }
    // `content` has no file name.
    let golden = workspace("[[files]]\ncontent = \"x\"\ntarget = \"/usr/bin\"\n");
    let run = build(&golden).exit(1);
    assert!(
        run.stderr
            .contains("`content` cannot be placed at /usr/bin"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("target = \"/usr/bin/NAME\""),
        "{}",
        run.stderr
    );
}

#[test]
fn two_sources_for_one_target_are_an_error_that_names_both() {
    let table =
        |source: &str, target: &str| format!("[[files]]\n{source}\ntarget = \"{target}\"\n");
    for (first, second, names) in [
        (
            table("content = \"1\"", "/etc/x"),
            table("source = \"x\"", "/etc/x"),
            ["`content`", "`app/x`"],
        ),
        (
            table("source = \"x\"", "/etc/"),
            table("source = \"d\"", "/etc"),
            ["`app/x`", "`app/d/x`"],
        ),
        (
            table("source = \"d/*\"", "/etc/"),
            table("source = \"e/*\"", "/etc/"),
            ["`app/d/x`", "`app/e/x`"],
        ),
        // The same target through links of the base, and in a directory of it.
        (
            table("source = \"x\"", "/bin/x"),
            table("source = \"d/x\"", "/usr/bin/x"),
            ["`app/x`", "`app/d/x`"],
        ),
        (
            table("source = \"d/x\"", "/bin"),
            table("source = \"e\"", "/usr/bin/"),
            ["`app/d/x`", "`app/e/x`"],
        ),
        (
            table("content = \"1\"", "/srv/x"),
            table("source = \"x\"", "/var/data"),
            ["`content`", "`app/x`"],
        ),
    ] {
        let golden = workspace(&format!("{first}{second}"))
            .file("app/x", "x")
            .file("app/d/x", "x")
            .file("app/e/x", "x");
        let run = build(&golden).exit(2);
        for name in names {
            assert!(
                run.stderr.contains(name),
                "{first}{second}: {name}: {}",
                run.stderr
            );
        }
        assert!(
            run.stderr.contains("have the same target"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn an_owner_that_the_base_does_not_know_is_an_error() {
    for owner in [
        "nosuch",
        "app:nosuch",
        "nosuch:app",
        "1000:nosuch",
        "nosuch:0",
    ] {
        let golden = workspace(&format!(
            "[[files]]\ncontent = \"x\"\ntarget = \"/x\"\nowner = \"{owner}\"\n"
        ));
        let run = build(&golden).exit(1);
        assert!(
            run.stderr.contains("of the base has no"),
            "{owner}: {}",
            run.stderr
        );
        assert!(
            run.stderr.contains("`nosuch`") && run.stderr.contains("write numbers"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_named_user_with_the_number_0_is_root_for_the_policy() {
    let golden = workspace("[config]\nuser = \"admin\"\n");
    golden.write("golden.toml", "[policy.config]\ndeny_root = true\n");
    let run = build(&golden).exit(3);
    assert!(
        run.stderr.contains("the user `admin` has the number 0"),
        "{}",
        run.stderr
    );
    let golden = workspace("[config]\nuser = \"app\"\n");
    golden.write("golden.toml", "[policy.config]\ndeny_root = true\n");
    build(&golden).exit(0);
}

#[test]
fn a_step_on_scratch_is_an_error_of_the_spec() {
    let image = |rest: &str| {
        format!(
            "[image]\nname = \"app\"\nversion = \"1.0.0\"\nbase = \"scratch\"\n{rest}[[run]]\nscript = \"true\"\n"
        )
    };
    let golden = Golden::new().workspace("").image("app", &image(""));
    let run = golden.run(&["check"]).exit(2);
    assert!(
        run.stderr.contains("`scratch` has no shell"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("app/image.toml:5:"), "{}", run.stderr);
    let golden = Golden::new()
        .workspace("")
        .image(
            "app",
            &image("[[files]]\nsource = \"sh\"\ntarget = \"/bin/\"\n"),
        )
        .file("app/sh", "#!");
    golden.run(&["check"]).exit(0);
}
