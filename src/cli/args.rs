//! What can be written after `portcullis`.

use clap::{Parser, Subcommand};

/// An edge proxy and API gateway that closes the gate by default.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report everything that is wrong with a configuration.
    Check(super::check::CheckArgs),
    /// Start two small origins and the gateway before them, and print what to try.
    Demo(super::demo::DemoArgs),
    /// One of the demo's origins.
    #[command(hide = true)]
    DemoOrigin(super::demo::origin::OriginArgs),
    /// Tell what a reload would change, by subject and by effect.
    Diff(super::diff::DiffArgs),
    /// List the endpoints of a running gateway, or take one out of service and back.
    Endpoints(super::endpoints::EndpointsArgs),
    /// Tell what would happen to a request, and why, without sending one.
    Explain(super::explain::ExplainArgs),
    /// Ask a running gateway whether it is ready, or alive.
    Health(super::health::HealthArgs),
    /// Make API keys.
    Keys(super::keys::KeysArgs),
    /// Have a running gateway read its configuration again.
    Reload(super::reload::ReloadArgs),
    /// Have a running gateway serve a configuration again that was in force before.
    Rollback(super::rollout::RollbackArgs),
    /// Keep or take back the configuration that a running gateway tries.
    Rollout(super::rollout::RolloutArgs),
    /// Serve a configuration until a signal ends the process.
    Run(super::run::RunArgs),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Tell what a running gateway is and does.
    Status(super::status::StatusArgs),
    /// Put this program in the place of a running gateway, which drains.
    Upgrade(super::upgrade::UpgradeArgs),
}
