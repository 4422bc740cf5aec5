//! Prints which addresses are on a block list: `cargo run --example blocklist FILE [ADDRESS...]`

use std::time::Instant;

use netstat_model::text;
use netstat_packages::blocklist::BlockList;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut list = BlockList::default();
    let begun = Instant::now();
    let report = list.add_file(words.next().ok_or("usage: blocklist FILE [ADDRESS...]")?)?;
    eprintln!("{report:#?}\nread in {:?}", begun.elapsed());
    let begun = Instant::now();
    for word in words {
        match list.find(word.parse()?, None) {
            Some(hit) => println!("{word}: line {} {}", hit.line, hit.label.unwrap_or_default()),
            None => println!("{}: not listed", text::escape_str(&word)),
        }
    }
    eprintln!("looked up in {:?}", begun.elapsed());
    Ok(())
}
