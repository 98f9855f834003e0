mod data;
mod engine;
mod engines;
mod histogram;
mod rows;
fn main() {
    for p in engines::all() {
        println!("{}", p.name);
    }
}
