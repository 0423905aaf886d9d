//! Executables with lists of modules, made by hand.

use proptest::prelude::*;

use super::*;

/// The position of the content of the first section.
const FIRST: usize = 512;

/// An executable with sections, of a class and a byte order.
fn elf(is_wide: bool, is_big_endian: bool, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let number = |value: usize, width: usize| {
        let mut bytes = value.to_le_bytes()[..width].to_vec();
        if is_big_endian {
            bytes.reverse();
        }
        bytes
    };
    let address = if is_wide { 8 } else { 4 };
    let entry = if is_wide { 64 } else { 40 };
    let (mut names, mut table, mut content) = (vec![0], vec![0; entry], vec![0; FIRST]);
    let names_index = sections.len() + 1;
    let mut add = |name: &str, bytes: &[u8], content: &mut Vec<u8>, names: &mut Vec<u8>| {
        content.resize(content.len().next_multiple_of(16), 0);
        table.extend(number(names.len(), 4));
        table.extend(number(1, 4));
        table.extend(vec![0; 2 * address]);
        table.extend(number(content.len(), address));
        names.extend(name.as_bytes());
        names.push(0);
        let length = if name == ".shstrtab" {
            names.len()
        } else {
            bytes.len()
        };
        table.extend(number(length, address));
        table.extend(vec![0; 8 + 2 * address]);
        content.extend(bytes);
    };
    for (name, bytes) in sections {
        add(name, bytes, &mut content, &mut names);
    }
    add(".shstrtab", b"", &mut content, &mut names);
    content.extend(names);
    let start = content.len();
    content.extend(table);
    content[..4].copy_from_slice(MAGIC);
    content[4] = 1 + u8::from(is_wide);
    content[5] = 1 + u8::from(is_big_endian);
    let mut put = |at: usize, bytes: Vec<u8>| content[at..at + bytes.len()].copy_from_slice(&bytes);
    let (offset, sizes) = if is_wide { (40, 58) } else { (32, 46) };
    put(offset, number(start, address));
    put(sizes, number(entry, 2));
    put(sizes + 2, number(names_index + 1, 2));
    put(sizes + 4, number(names_index, 2));
    content
}

/// Go's build information with one module.
fn go(name: &str) -> Vec<u8> {
    let mark = " ".repeat(16);
    let modules = format!("{mark}path\t{name}\nmod\t{name}\tv1.0.0\t\n{mark}");
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    bytes.push(8);
    bytes.extend(b"go1.22.1");
    bytes.push(u8::try_from(modules.len()).unwrap());
    bytes.extend(modules.as_bytes());
    bytes
}

/// A compressed list of one crate.
fn crates(name: &str) -> Vec<u8> {
    let json = format!(r#"{{"packages":[{{"name":"{name}","version":"1.0.0"}}]}}"#);
    let level = flate2::Compression::new(7);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(json.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Reads a file that is written in pieces.
fn read(bytes: &[u8], piece: usize) -> Option<PackageList> {
    let mut executable = Executable::default();
    for piece in bytes.chunks(piece) {
        executable.write_all(piece).unwrap();
    }
    executable.finish()
}

fn purls(list: Option<PackageList>) -> Vec<String> {
    let list = list.unwrap_or_default();
    assert_eq!(list.problem, None);
    list.packages.iter().map(|one| one.purl(None)).collect()
}

#[test]
fn lists_are_found_in_every_class_and_byte_order_and_at_every_place() {
    let expected = [
        "pkg:golang/stdlib@1.22.1",
        "pkg:golang/a@v1.0.0",
        "pkg:cargo/b@1.0.0",
    ];
    let (go, crates) = (go("a"), crates("b"));
    for (is_wide, is_big_endian) in [(true, false), (true, true), (false, false), (false, true)] {
        // The lists cross the ends of windows.
        for before in [
            0,
            WINDOW - FIRST - LOOKAHEAD - 40,
            WINDOW - FIRST - 40,
            3 * WINDOW,
        ] {
            let text = vec![b'x'; before];
            let sections: [(&str, &[u8]); 4] = [
                (".text", &text),
                (".go.buildinfo", &go),
                (".data", &text),
                (".dep-v0", &crates),
            ];
            let file = elf(is_wide, is_big_endian, &sections);
            for piece in [7, 64 << 10, file.len()] {
                assert_eq!(purls(read(&file, piece)), expected, "{before} {piece}");
            }
        }
    }
}

/// An executable of Go 1.17: texts, the build information with pointers, and the addresses and
/// lengths of the texts. The file is loaded at `BASE`.
fn old_go(is_wide: bool, is_big_endian: bool, before: usize) -> Vec<u8> {
    const BASE: usize = 0x40_0000;
    let size = if is_wide { 8 } else { 4 };
    let number = |value: usize, width: usize| {
        let mut bytes = value.to_le_bytes()[..width].to_vec();
        if is_big_endian {
            bytes.reverse();
        }
        bytes
    };
    let version = b"go1.17.3";
    let mut modules = go::MODULES.to_vec();
    modules.extend(b"path\ta\nmod\ta\tv1.0.0\t\ndep\tb\tv2.0.0\n0123456789abcdef");
    let mut texts = b"before go1.2 ".to_vec();
    texts.resize(before, b'x');
    let version_at = FIRST + texts.len();
    texts.extend(version);
    let modules_at = FIRST + texts.len();
    texts.extend(&modules);
    let information_at = (FIRST + texts.len()).next_multiple_of(16);
    let data_at = information_at + 32;
    let mut information = go::MAGIC.to_vec();
    information.extend([u8::try_from(size).unwrap(), u8::from(is_big_endian)]);
    information.extend(number(BASE + data_at + 100, size));
    information.extend(number(BASE + data_at, size));
    information.resize(32, 0);
    let mut data = [number(BASE + modules_at, size), number(modules.len(), size)].concat();
    data.resize(100, 0);
    data.extend([number(BASE + version_at, size), number(version.len(), size)].concat());
    let sections: [(&str, &[u8]); 3] = [
        (".rodata", &texts),
        (".go.buildinfo", &information),
        (".data", &data),
    ];
    let mut file = elf(is_wide, is_big_endian, &sections);
    let mut put = |at: usize, bytes: Vec<u8>| file[at..at + bytes.len()].copy_from_slice(&bytes);
    let (table, entry) = if is_wide { (32, 54) } else { (28, 42) };
    put(table, number(100, size));
    put(entry, number(56, 2));
    put(entry + 2, number(1, 2));
    put(100, number(1, 4));
    let (address, length) = if is_wide { (16, 32) } else { (8, 16) };
    put(100 + address, number(BASE, size));
    put(100 + length, number(data_at + 1000, size));
    let memory = if is_wide { 40 } else { 20 };
    put(100 + memory, number(data_at + 2000, size));
    file
}

#[test]
fn modules_of_go_before_1_18_are_found_in_every_class_and_byte_order() {
    for (is_wide, is_big_endian) in [(true, false), (true, true), (false, false), (false, true)] {
        for before in [20, WINDOW - 10, 2 * WINDOW + 5] {
            let file = old_go(is_wide, is_big_endian, before);
            let expected = [
                "pkg:golang/stdlib@1.17.3",
                "pkg:golang/a@v1.0.0",
                "pkg:golang/b@v2.0.0",
            ];
            assert_eq!(purls(read(&file, 64 << 10)), expected, "{before}");
        }
    }
}

/// A program of Go with one module.
pub(in crate::inventory) fn go_program() -> Vec<u8> {
    elf(true, false, &[(".go.buildinfo", &go("a"))])
}

/// A program of Go 1.17.
pub(in crate::inventory) fn old_go_program() -> Vec<u8> {
    old_go(true, false, 20)
}

/// A program of Go 1.17 that was built without modules.
pub(in crate::inventory) fn old_go_program_without_modules() -> Vec<u8> {
    let mut file = old_go_program();
    let information = memmem::find(&file, go::MAGIC).unwrap();
    let pointer = information + 16 + 8;
    // From the start of .data to the zeros after it.
    let address = u64::from_le_bytes(file[pointer..pointer + 8].try_into().unwrap());
    file[pointer..pointer + 8].copy_from_slice(&(address + 1500).to_le_bytes());
    file
}

#[test]
fn a_program_of_old_go_without_modules_has_the_standard_library() {
    let file = old_go_program_without_modules();
    assert_eq!(purls(read(&file, 4096)), ["pkg:golang/stdlib@1.17.3"]);
}

#[test]
fn damaged_pointers_are_reported() {
    let whole = old_go(true, false, 20);
    let information = memmem::find(&whole, go::MAGIC).unwrap();
    // The pointers, the size of pointers, and a text.
    for at in [
        information + 14,
        information + 17,
        information + 25,
        information + 33,
    ] {
        let mut file = whole.clone();
        file[at] ^= 0x80;
        let list = read(&file, 4096).unwrap();
        assert_eq!(list.packages, [], "{at}");
        let problem = list.problem.unwrap();
        assert!(
            problem.starts_with("its build information of Go is"),
            "{problem}"
        );
    }
}

#[test]
fn lists_outside_of_their_sections_do_not_count() {
    let (go, crates) = (go("a"), crates("b"));
    let copies: [(&str, &[u8]); 2] = [(".rodata", &go), (".data", &crates)];
    assert_eq!(read(&elf(true, false, &copies), 4096), None);
    let own: [(&str, &[u8]); 3] = [
        (".rodata", &go),
        (".go.buildinfo", &self::go("own")),
        (".data", &crates),
    ];
    let read = read(&elf(true, false, &own), 4096);
    assert_eq!(
        purls(read),
        ["pkg:golang/stdlib@1.22.1", "pkg:golang/own@v1.0.0"]
    );
}

#[test]
fn other_files_have_no_list() {
    for other in [
        &b""[..],
        b"\x7fE",
        b"\x7fELF",
        b"text",
        &go("a"),
        &crates("a"),
    ] {
        assert_eq!(read(other, 3), None);
    }
    assert_eq!(read(&elf(true, false, &[(".text", b"x")]), 100), None);
}

#[test]
fn damaged_lists_are_reported() {
    for (name, content, problem) in [
        (
            ".go.buildinfo",
            &go("a")[..40],
            "build information of Go is damaged",
        ),
        (".go.buildinfo", b"nothing", "no build information"),
        (".dep-v0", b"nothing", "no list of crates"),
        (".dep-v0", &crates("a")[..30], "list of crates"),
    ] {
        let list = read(&elf(true, false, &[(name, content)]), 4096).unwrap();
        let found = list.problem.unwrap();
        assert!(found.contains(problem), "{found}");
    }
}

proptest! {
    #[test]
    fn reading_a_damaged_executable_ends(
        damage in proptest::collection::vec((0..2000_usize, proptest::num::u8::ANY), 1..10),
    ) {
        let mut file = elf(true, false, &[(".go.buildinfo", &go("a")), (".dep-v0", &crates("b"))]);
        for (at, byte) in &damage {
            let at = 6 + at % (file.len() - 6);
            file[at] = *byte;
        }
        let count = read(&file, 4096).map_or(0, |list| list.packages.len());
        prop_assert!(count < 10);
        let mut file = old_go(true, false, 20);
        for (at, byte) in damage {
            let at = 6 + at % (file.len() - 6);
            file[at] = byte;
        }
        let count = read(&file, 4096).map_or(0, |list| list.packages.len());
        prop_assert!(count < 10);
    }
}
