//! Parses a filter and prints it: `cargo run -p netstat-model --example filters -- '--port 443'`.

use netstat_model::Filter;

fn main() {
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "--port 443 --established".to_owned());
    match text.parse::<Filter>() {
        Ok(filter) => println!("{filter:#?}"),
        Err(error) => {
            eprintln!("{text:?}: {error}");
            std::process::exit(2);
        }
    }
}
