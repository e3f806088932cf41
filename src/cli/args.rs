//! What can be written after `portcullis`.

use clap::{Parser, Subcommand};

/// An edge proxy and API gateway that closes the gate by default.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Report everything that is wrong with a configuration.
    Check(super::check::CheckArgs),
    /// Start two small origins and the gateway before them, and print what to try.
    Demo(super::demo::DemoArgs),
    /// One of the demo's origins.
    #[command(hide = true)]
    DemoOrigin(super::demo::origin::OriginArgs),
    /// Show what a reload would change, by subject and by effect.
    Diff(super::diff::DiffArgs),
    /// List the endpoints of a running gateway, or take one out of service or back into it.
    Endpoints(super::endpoints::EndpointsArgs),
    /// Show what would happen to a request, and why, without sending one.
    Explain(super::explain::ExplainArgs),
    /// Ask a running gateway whether it is ready, or alive.
    Health(super::health::HealthArgs),
    /// Make API keys.
    Keys(super::keys::KeysArgs),
    /// Print every field of the configuration, as a page for people.
    Reference,
    /// Make a running gateway read its configuration again.
    Reload(super::reload::ReloadArgs),
    /// Make a running gateway serve a configuration again that was in force before.
    Rollback(super::rollout::RollbackArgs),
    /// Keep or revert the configuration that a running gateway rolls out.
    Rollout(super::rollout::RolloutArgs),
    /// Serve a configuration until a signal ends the process.
    Run(super::run::RunArgs),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Show the process, the configuration and the work in progress of a running gateway.
    Status(super::status::StatusArgs),
    /// Replace a running gateway by this program; the old one drains.
    Upgrade(super::upgrade::UpgradeArgs),
}
