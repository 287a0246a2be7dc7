//! stub
pub(crate) fn run(_: &crate::args::ImportArguments) -> anyhow::Result<crate::exit::Exit> {
    anyhow::bail!("x")
}
