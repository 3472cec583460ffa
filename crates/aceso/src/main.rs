//! aceso
fn main() {}
