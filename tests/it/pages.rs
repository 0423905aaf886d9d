//! The pages of `golden report` and `golden audit` in a browser.

mod browser;
mod fleet;
mod pictures;
mod survey;

use std::collections::BTreeMap;
use std::path::PathBuf;

use golden::app::site::SiteReport;
use golden::oci::lifecycle::seconds;
use golden::report::audited_page;
use golden::report::page::site;
use serde_json::{Value, json};
use tempfile::TempDir;

use browser::{Browser, ENTER, Scheme, TAB};

/// The page of the image that has everything.
const RICH: &str = "images/runtime~java.html";
/// The page of an audit.
const AUDIT: &str = "audit.html";
/// The roles of elements that need a name.
const NAMED: [&str; 11] = [
    "button",
    "combobox",
    "DisclosureTriangle",
    "graphics-document",
    "img",
    "image",
    "link",
    "navigation",
    "region",
    "searchbox",
    "table",
];

/// A report and the page of an audit in a directory.
struct Pages(TempDir);

impl Pages {
    fn of(report: &SiteReport) -> Self {
        let pages = Self(TempDir::new().unwrap());
        let mut files: BTreeMap<String, String> = site(report).unwrap();
        let now = seconds(fleet::NOW).unwrap();
        let audit = audited_page(&survey::survey(), now).unwrap();
        files.insert(AUDIT.to_owned(), audit);
        for (path, text) in files {
            let path = pages.path(&path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        pages
    }

    fn path(&self, page: &str) -> PathBuf {
        self.0.path().join(page)
    }
}

/// The names of the images that the table of the index shows, in their order.
fn shown(browser: &Browser) -> Vec<String> {
    let script =
        "return [...document.querySelectorAll('tbody tr:not([hidden]) th')].map(e => e.innerText)";
    let names = browser.run(script);
    let names = names.as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// The texts of the element that has the focus.
fn focused(browser: &Browser) -> Value {
    let script = "const e = document.activeElement; const s = getComputedStyle(e); \
        return { tag: e.localName, text: (e.getAttribute('aria-label') ?? e.id) || e.innerText, \
        outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2, seen: e.checkVisibility() }";
    browser.run(script)
}

#[test]
fn every_page_is_accessible_in_both_colour_schemes() {
    let pages = Pages::of(&fleet::fleet(30));
    let browser = Browser::start();
    let mut unnamed = Vec::new();
    for page in [
        "index.html",
        RICH,
        "images/base~static.html",
        "images/team~web.html",
        AUDIT,
    ] {
        let mut backgrounds = Vec::new();
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.prefer(scheme);
            browser.open(&pages.path(page));
            browser.run("for (const one of document.querySelectorAll('details')) one.open = true");
            let problems = browser.run(include_str!("pages/checks.js"));
            assert_eq!(problems, json!([]), "{page}, {scheme:?}");
            backgrounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
        }
        assert_ne!(backgrounds[0], backgrounds[1], "{page}");
        let elements = browser.accessible();
        assert!(
            elements.iter().any(|(role, _)| role == "table"),
            "{page}: {elements:?}"
        );
        unnamed.extend(elements.into_iter().filter_map(|(role, name)| {
            let is_unnamed = NAMED.contains(&role.as_str()) && name.trim().is_empty();
            is_unnamed.then(|| format!("{page}: {role}"))
        }));
    }
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn the_images_are_searched_filtered_and_sorted_without_a_server() {
    let pages = Pages::of(&fleet::fleet(0));
    let browser = Browser::start();
    browser.open(&pages.path("index.html"));
    let all = shown(&browser);
    assert_eq!(all.len(), 12);
    let state = || {
        let script = "return [location.hash, document.getElementById('count').value, \
            document.getElementById('none').hidden]";
        browser.run(script)
    };

    browser.click("#q");
    browser.press("NODE alp");
    assert_eq!(shown(&browser), ["runtime/node alpine"]);
    assert_eq!(state(), json!(["#q=NODE+alp", "1 of 12 shown", true]));
    browser.press("x");
    assert_eq!(shown(&browser), Vec::<String>::new());
    assert_eq!(state(), json!(["#q=NODE+alpx", "0 of 12 shown", false]));
    browser.click("#reset");
    assert_eq!(shown(&browser), all);

    // A number of images is a link to them.
    browser.click(".counts a[href='#state=stale']");
    let stale = ["base/debian", "base/debian slim", "team/search"];
    assert_eq!(shown(&browser), stale);
    let current = browser.run("return document.querySelector('.counts [aria-current]').hash");
    assert_eq!(current, "#state=stale");
    let value = browser.run("return document.getElementById('state').value");
    assert_eq!(value, "stale");
    browser.click("#reset");

    let sorted = |name: &str| {
        browser.click(&format!("th[data-sort='{name}'] button"));
        let script = "return [...document.querySelectorAll('[aria-sort]')] \
            .map(e => e.dataset.sort + ' ' + e.ariaSort)";
        browser.run(script)
    };
    assert_eq!(sorted("size"), json!(["size ascending"]));
    assert_eq!(sorted("size"), json!(["size descending"]));
    assert_eq!(shown(&browser)[0], "team/search");
    // An unknown age is never the lowest.
    assert_eq!(sorted("age"), json!(["age ascending"]));
    assert_eq!(shown(&browser)[0], "team/payments");
    let announced = browser.run("return document.getElementById('announcement').textContent");
    assert_eq!(announced, "sorted by Age, ascending");

    // The address contains the search.
    let index = format!("file://{}", pages.path("index.html").display());
    browser.go("about:blank");
    browser.go(&format!("{index}#q=team/&sort=size&dir=desc"));
    assert_eq!(
        shown(&browser),
        ["team/search", "team/payments", "team/web"]
    );

    // The packages of an image have their own filter.
    browser.open(&pages.path(RICH));
    browser.click("#p");
    browser.press("ssl apache");
    let script = "return document.querySelector('#packages output').value";
    assert_eq!(browser.run(script), "2 of 9");
}

#[test]
fn the_keyboard_reaches_every_control_and_its_focus_is_visible() {
    let pages = Pages::of(&fleet::fleet(0));
    let browser = Browser::start();
    browser.open(&pages.path("index.html"));
    let mut order = Vec::new();
    let links = browser.run("return document.querySelectorAll('.counts a').length");
    for _ in 0..links.as_u64().unwrap() + 14 {
        browser.press(&TAB.to_string());
        let focused = focused(&browser);
        assert_eq!(
            (&focused["outline"], &focused["seen"]),
            (&json!(true), &json!(true)),
            "{focused}"
        );
        order.push(format!("{} {}", focused["tag"], focused["text"]).replace('"', ""));
    }
    order.retain(|one| !one.starts_with("a ") || one.starts_with("a Skip") || one.contains('/'));
    assert_eq!(
        order,
        [
            "a Skip to the content",
            "input q",
            "select state",
            "button reset",
            "div Table of images",
            "button Image",
            "button State",
            "button Version",
            "button Age",
            "button Size",
            "button Platforms",
            "button Base",
            "button Tests",
            "a base/alpine",
        ]
    );
    browser.press(&ENTER.to_string());
    assert_eq!(
        browser.run("return document.querySelector('h1').innerText"),
        "base/alpine 3.22.4"
    );
    // Enter sorts, and the focus remains.
    browser.run("document.querySelector('#versions th[data-sort=size] button').focus()");
    browser.press(&ENTER.to_string());
    let sorted = "return document.activeElement.closest('th').ariaSort";
    assert_eq!(browser.run(sorted), "ascending");
    // The link to the content moves the focus there.
    browser.open(&pages.path("index.html"));
    browser.press(&format!("{TAB}{ENTER}"));
    assert_eq!(browser.run("return document.activeElement.id"), "main");
    // Enter opens the findings of an audited image.
    browser.open(&pages.path(AUDIT));
    browser.run("document.querySelector('summary').focus()");
    browser.press(&ENTER.to_string());
    assert_eq!(
        browser.run("return document.querySelector('details').open"),
        true
    );
}

#[test]
fn a_narrow_window_needs_no_horizontal_scrolling() {
    let pages = Pages::of(&fleet::fleet(30));
    let browser = Browser::start();
    browser.resize(360, 740);
    for page in ["index.html", RICH, "images/base~static.html", AUDIT] {
        browser.open(&pages.path(page));
        browser.run("for (const one of document.querySelectorAll('details')) one.open = true");
        let width = browser.run("return document.documentElement.scrollWidth");
        assert_eq!(width, 360, "{page}");
    }
}

#[test]
fn a_printed_page_fits_its_paper() {
    let pages = Pages::of(&fleet::fleet(30));
    let browser = Browser::start();
    // The width of A4 without margins of 10 mm.
    browser.resize(718, 1000);
    browser.print();
    for page in ["index.html", RICH, AUDIT] {
        browser.open(&pages.path(page));
        browser.run("for (const one of document.querySelectorAll('details')) one.open = true");
        let script = "return [document.documentElement.scrollWidth, \
            document.querySelector('.skip').checkVisibility(), \
            getComputedStyle(document.body).backgroundColor]";
        let expected = json!([718, false, "rgb(255, 255, 255)"]);
        assert_eq!(browser.run(script), expected, "{page}");
    }
}

#[test]
fn a_page_requests_only_files_and_reports_no_error() {
    let pages = Pages::of(&fleet::fleet(30));
    let browser = Browser::start();
    browser.requests();
    for page in ["index.html", RICH, AUDIT] {
        browser.open(&pages.path(page));
        browser.run("document.querySelector('th button').click()");
        let file = format!("file://{}", pages.path(page).display());
        assert_eq!(browser.requests(), [file], "{page}");
        assert_eq!(browser.console(), Vec::<String>::new(), "{page}");
    }
    // The policy of a page prevents the requests of text that became markup.
    browser
        .run("document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x\">')");
    let is_blocked = || {
        let messages = browser.console();
        messages
            .iter()
            .any(|line| line.contains("Content Security Policy"))
    };
    let pause = std::time::Duration::from_millis(100);
    assert!((0..100).any(|_| is_blocked() || {
        std::thread::sleep(pause);
        false
    }));
}

/// The processor time of the page's process, in seconds, to load the index of as many images and to
/// sort it once. It does not depend on other tests.
fn processor_time(browser: &Browser, images: usize) -> f64 {
    let pages = Pages::of(&fleet::large(images));
    let time = || {
        browser.go("about:blank");
        browser.devtools(
            "Performance.enable",
            &json!({ "timeDomain": "threadTicks" }),
        );
        browser.open(&pages.path("index.html"));
        browser.run("document.querySelector('th[data-sort=base] button').click()");
        let metrics = browser.devtools("Performance.getMetrics", &json!({}));
        browser.devtools("Performance.disable", &json!({}));
        let mut metrics = metrics["metrics"].as_array().unwrap().iter();
        let time = metrics.find(|one| one["name"] == "ScriptDuration");
        time.unwrap()["value"].as_f64().unwrap()
    };
    (0..5).map(|_| time()).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_time_of_a_page_grows_with_the_number_of_images_and_not_with_its_square() {
    let browser = Browser::start();
    let few = processor_time(&browser, 200);
    let many = processor_time(&browser, 2000);
    assert!(few > 0.0 && many < few * 30.0, "{few} {many}");
}

#[test]
fn a_thousand_images_load_in_less_than_a_second() {
    let pages = Pages::of(&fleet::large(1000));
    let browser = Browser::start();
    let load = || {
        browser.go("about:blank");
        browser.open(&pages.path("index.html"));
        let script = "return performance.getEntriesByType('navigation')[0].loadEventEnd";
        browser.run(script).as_f64().unwrap()
    };
    // Other tests use the processors at the same time.
    let times: Vec<f64> = (0..5).map(|_| load()).collect();
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best > 0.0 && best < 1000.0, "{times:?}");
    let script = "const times = []; for (const name of ['size', 'image', 'base']) { \
        const start = performance.now(); document.querySelector(`th[data-sort=${name}] button`).click(); \
        document.body.offsetHeight; times.push(performance.now() - start); } return Math.min(...times)";
    let sort = browser.run(script).as_f64().unwrap();
    assert!(sort < 1000.0, "{sort}");
}

#[test]
fn the_images_of_an_audit_are_filtered_by_result_and_by_rule() {
    let pages = Pages::of(&fleet::fleet(0));
    let browser = Browser::start();
    browser.open(&pages.path(AUDIT));
    assert_eq!(shown(&browser).len(), 9 + 4);
    browser.click(".counts a[href='#state=errors']");
    let rows = "return [...document.querySelectorAll('#results tbody tr:not([hidden]) th')] \
        .map(e => e.innerText.split('/').pop())";
    let failing = json!(["gateway:3.1.4", "payments:4.17.2", "web:8.0.0"]);
    assert_eq!(browser.run(rows), failing);
    browser.click("#reset");
    browser.click("a[href='#q=config.ports']");
    let ports = json!(["export:1.4.0", "search:2.0.2", "web:8.0.0"]);
    assert_eq!(browser.run(rows), ports);
    browser.click("#reset");
    browser.click("#details");
    let open = "return [document.querySelectorAll('details[open]').length, \
        document.getElementById('details').ariaPressed]";
    assert_eq!(browser.run(open), json!([5, "true"]));
    browser.click("#details");
    assert_eq!(browser.run(open), json!([0, "false"]));
    browser.click("th[data-sort='result'] button");
    assert_eq!(browser.run(rows)[0], "gateway:3.1.4");
}
