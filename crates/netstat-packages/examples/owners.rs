//! Prints which package owns each file: `cargo run --example owners [--root DIR] PATH...`

use netstat_model::text;
use netstat_packages::packages::{FileOwner, Packages, Recorded};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut root = "/".to_owned();
    if words.first().is_some_and(|word| word == "--root") && words.len() > 1 {
        root = words.remove(1);
        words.remove(0);
    }
    let begun = std::time::Instant::now();
    let answers = Packages::open(&root).owners(&words);
    let took = begun.elapsed();
    for answer in answers {
        let owner = match answer.owner {
            FileOwner::Package(package) => {
                let version = package
                    .version
                    .map(|version| format!(" {version}"))
                    .known()
                    .unwrap_or_default();
                let digest = match package.recorded {
                    Recorded::Digest(digest) => format!("{} {digest}", digest.algorithm().name()),
                    Recorded::None(reason) => reason.words().to_owned(),
                };
                format!(
                    "{} package {}{version}: {digest}",
                    package.database.name(),
                    package.name
                )
            }
            FileOwner::Nobody => "no package lists it".to_owned(),
            FileOwner::Unknown(reason) => format!("owner unknown: {}", reason.words()),
        };
        let origin = answer
            .origin
            .map(|origin| format!(" ({})", origin.manager.words()))
            .unwrap_or_default();
        println!(
            "{}: {}{origin}",
            text::escape_str(&answer.path.to_string_lossy()),
            text::escape_str(&owner)
        );
    }
    eprintln!("{} paths in {took:?}", words.len());
}
