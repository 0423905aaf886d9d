//! The pictures of the guide. `GOLDEN_GUIDE=write cargo test --test it -- pages::pictures` makes
//! them again, and records the digests of the pages that they show.

use std::path::{Path, PathBuf};

use golden::reference::Digest;

use super::browser::{Browser, Scheme};
use super::{AUDIT, Pages, RICH, fleet};

/// The largest size of a picture in bytes.
const MOST_BYTES: usize = 60 << 10;
const WIDTH: u32 = 1100;

/// A picture, the page that it shows, and the chapter that contains it.
struct Picture {
    file: &'static str,
    chapter: &'static str,
    page: &'static str,
    scheme: Scheme,
    height: u32,
    /// A script that runs before the picture is taken.
    script: &'static str,
}

const PICTURES: [Picture; 3] = [
    Picture {
        file: "report-index.webp",
        chapter: "fleets.md",
        page: "index.html",
        scheme: Scheme::Light,
        height: 852,
        script: "",
    },
    Picture {
        file: "report-image.webp",
        chapter: "fleets.md",
        page: RICH,
        scheme: Scheme::Dark,
        height: 1056,
        script: "",
    },
    Picture {
        file: "audit.webp",
        chapter: "registry.md",
        page: AUDIT,
        scheme: Scheme::Light,
        height: 730,
        script: "document.querySelectorAll('details')[1].open = true",
    },
];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/help")
        .join(file)
}

/// The size of a lossy `WebP` file: a chunk `VP8 `, or `VP8X` before it.
fn size(file: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize, bytes: usize| {
        let bytes = file.get(at..at + bytes)?.iter().rev();
        Some(bytes.fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    };
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WEBP" {
        return None;
    }
    match file.get(12..16)? {
        b"VP8 " => Some((number(26, 2)? & 0x3fff, number(28, 2)? & 0x3fff)),
        b"VP8X" => Some((number(24, 3)? + 1, number(27, 3)? + 1)),
        _ => None,
    }
}

/// The pages of the pictures, each with the digest of its markup, style and script.
fn digests(pages: &Pages) -> String {
    let line = |picture: &Picture| {
        let page = std::fs::read(pages.path(picture.page)).unwrap();
        format!("{} {}\n", picture.page, Digest::of(&page))
    };
    PICTURES.iter().map(line).collect()
}

#[test]
fn the_guide_shows_the_pages() {
    let pages = Pages::of(&fleet::fleet(30));
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pages/pictures.txt");
    if std::env::var_os("GOLDEN_GUIDE").is_some_and(|value| value == "write") {
        let browser = Browser::start();
        for picture in &PICTURES {
            browser.resize(WIDTH, picture.height);
            browser.prefer(picture.scheme);
            browser.open(&pages.path(picture.page));
            browser.run(picture.script);
            std::fs::write(path(picture.file), browser.picture()).unwrap();
        }
        std::fs::write(&recorded, digests(&pages)).unwrap();
    }
    let recorded = std::fs::read_to_string(recorded).unwrap();
    assert_eq!(
        digests(&pages),
        recorded,
        "the pages changed: GOLDEN_GUIDE=write cargo test --test it -- pages::pictures"
    );
    for picture in &PICTURES {
        let file = std::fs::read(path(picture.file)).unwrap();
        assert_eq!(
            size(&file),
            Some((WIDTH, picture.height)),
            "{}",
            picture.file
        );
        assert!(
            file.len() <= MOST_BYTES,
            "{}: {} bytes",
            picture.file,
            file.len()
        );
        let chapter = std::fs::read_to_string(path(picture.chapter)).unwrap();
        let link = format!("]({})", picture.file);
        let line = chapter.lines().find(|line| line.contains(&link));
        let line = line.unwrap_or_else(|| panic!("{} has no {}", picture.chapter, picture.file));
        let alternative = line
            .strip_prefix("![")
            .and_then(|line| line.split(']').next());
        assert!(alternative.is_some_and(|text| text.len() > 40), "{line}");
    }
}
