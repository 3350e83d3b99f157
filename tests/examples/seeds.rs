//! Writes the inputs that a fuzzer begins with: `seeds TARGET FOLDER`.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else {
        eprintln!("usage: seeds TARGET FOLDER");
        std::process::exit(2);
    };
    fs::create_dir_all(folder)?;
    for (n, seed) in rtrace_tests::fuzz::seeds(target).into_iter().enumerate() {
        fs::write(Path::new(folder).join(format!("seed-{n}")), seed)?;
    }
    Ok(())
}
