//! Prints every flow to a port in a record: `cargo run -p netstat-record --example flows -- record.db 443`.

use std::ops::ControlFlow;
use std::path::Path;

use netstat_record::{Question, Reader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, port] = words.as_slice() else {
        eprintln!("usage: flows RECORD PORT");
        std::process::exit(2);
    };
    let question = Question {
        filter: format!("--port {port}").parse()?,
        ..Question::default()
    };
    let mut reader = Reader::open(Path::new(store))?;
    let mut count = 0;
    reader.flows(&question, &mut |flow| {
        println!("{flow:?}");
        count += 1;
        ControlFlow::Continue(())
    })?;
    println!("{count} flows");
    Ok(())
}
