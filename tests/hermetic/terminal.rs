//! The screen of a terminal while golden works, and after it.

use std::sync::Arc;
use std::time::Duration;

use crate::pseudo_terminal::script;
use crate::support::registry::{Behaviour, FakeRegistry};
use crate::support::workspace::Golden;

/// All screens of a terminal while golden runs in it.
struct Screens {
    all: Vec<String>,
    last: String,
}

/// Runs golden in a pseudo-terminal of this size.
fn screens(golden: &Golden, args: &str, columns: u16, rows: u16) -> Screens {
    let mut script = script(golden, &format!("golden {args}"), columns, rows);
    let output = script.output().unwrap();
    let mut terminal = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
    let mut all = Vec::new();
    let shown = |terminal: &vt100::Parser| {
        let rows = terminal.screen().rows(0, columns);
        rows.map(|row| row.trim_end().to_owned() + "\n")
            .collect::<String>()
    };
    for part in output.stdout.chunks(16) {
        terminal.process(part);
        all.push(shown(&terminal));
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let last = shown(&terminal).trim_end().to_owned();
    Screens { all, last }
}

#[test]
fn a_graph_on_a_terminal_is_a_tree() {
    let image = |name: &str, base: &str| {
        format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = {base}\n")
    };
    let golden = Golden::new()
        .workspace("")
        .image("a", &image("a", "\"scratch\""))
        .image("b", &image("b", "{ image = \"a\" }"));
    assert_eq!(
        screens(&golden, "graph", 60, 10).last,
        "a:1.0.0\n└── b:1.0.0"
    );
}

#[test]
fn a_terminal_shows_the_running_steps_and_at_last_only_the_result() {
    for (columns, rows) in [(80, 24), (120, 40)] {
        let registry = FakeRegistry::start(Behaviour {
            instead: Some(Arc::new(|seen| {
                if seen.method == "PUT" {
                    std::thread::sleep(Duration::from_millis(120));
                }
                None
            })),
            ..Behaviour::default()
        });
        let host = registry.host();
        let table = format!("[[registry]]\nname = \"t\"\nhost = \"{host}\"\n");
        let golden = Golden::new()
            .workspace(&table)
            .env("SOURCE_DATE_EPOCH", "0");
        for name in ["app", "tool", "web"] {
            golden.write(
                &format!("{name}/image.toml"),
                format!("[image]\nname = \"{name}\"\nversion = \"1.0.0\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n"),
            );
        }
        let screens = screens(&golden, "build --push", columns, rows);
        let during = |wanted: &dyn Fn(&str) -> bool| {
            screens.all.iter().any(|screen| screen.lines().any(wanted))
        };
        assert!(during(&|line| line.starts_with("0/3 images done  ")));
        let push = format!("s  push {host}/");
        assert!(
            during(&|line| line.contains(":1.0.0 ") && line.contains(&push)),
            "{}",
            screens.all.concat()
        );
        // The result is written after the lines of the work were removed.
        let mixed = |screen: &&String| screen.contains("IMAGE ") && screen.contains("images done");
        assert_eq!(screens.all.iter().find(mixed), None);
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&host.replace('.', "\\."), "HOST:PORT");
        settings.add_filter(r"\d+(\.\d+)? (kB|B|s)\b", "N $2");
        settings.add_filter("  +", "  ");
        settings.bind(|| {
            // The order of the lines before the table depends on the registry.
            let table = screens.last.find("IMAGE ").unwrap_or_default();
            insta::assert_snapshot!(format!("terminal_{columns}"), &screens.last[table..]);
        });
    }
}
