//! The test data of RFC 8785's authors, in tests/vectors/jcs.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{push_f64, push_json, written};

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/jcs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_published_documents_get_the_published_bytes() {
    for name in ["arrays", "french", "structures", "unicode", "values", "weird"] {
        let input: Value = serde_json::from_str(&vector(&format!("input/{name}.json"))).expect("valid JSON");
        let canonical = written(|out| push_json(out, &input));
        assert_eq!(canonical, vector(&format!("output/{name}.json")), "{name}");
        let published = vector(&format!("outhex/{name}.txt"));
        assert_eq!(hex(canonical.as_bytes()), published.split_whitespace().collect::<Vec<_>>(), "{name}");
    }
}

/// The bit patterns of the published number sequence: the listed ones, 2,000 in a row, then the finite ones in a chain
/// of SHA-256 digests.
fn number_sequence() -> impl Iterator<Item = u64> {
    let listed = vector("es6-static-u64.txt");
    let listed: Vec<_> = listed.lines().map(|line| u64::from_str_radix(line, 16).expect("a hex number")).collect();
    let digests = std::iter::successors(Some(Sha256::digest([0; 32])), |digest| Some(Sha256::digest(digest)));
    let chained = digests.flat_map(|digest| {
        let (words, _) = digest.as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>()
    });
    let finite = chained.filter(|&bits| f64::from_bits(bits).is_finite());
    listed.into_iter().chain((0..2000).map(|step| 0x0010_0000_0000_0000 + step)).chain(finite)
}

#[test]
fn the_number_sequence_has_the_published_checksums() {
    const MOST: usize = 100_000;
    let mut checksum = Sha256::new();
    let mut published = vector("es6-checksums.txt")
        .lines()
        .filter_map(|line| {
            let (digest, lines) = line.split_once(' ')?;
            Some((digest.to_owned(), lines.parse::<usize>().ok()?))
        })
        .filter(|(_, lines)| *lines <= MOST)
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let mut checked = 0;
    for (index, bits) in number_sequence().take(MOST).enumerate() {
        let number = written(|out| push_f64(out, f64::from_bits(bits)).expect("the sequence is finite"));
        checksum.update(format!("{bits:x},{number}\n"));
        if let Some((digest, _)) = published.next_if(|(_, lines)| *lines == index + 1) {
            let so_far = hex(&checksum.clone().finalize()).concat();
            assert_eq!(so_far, digest, "after {} lines", index + 1);
            checked += 1;
        }
    }
    assert_eq!(checked, 3, "the checksums of 1,000, 10,000 and 100,000 lines");
}
