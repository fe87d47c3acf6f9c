//! Turns `schema/*.proto` into Rust with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=schema");
    let schemas = ["common.proto", "accounts.proto", "leaderboard.proto", "auctions.proto"];
    let descriptors = protox::compile(schemas, ["schema"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
