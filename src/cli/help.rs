//! `golden help`: show the help of a command, or a chapter of the guide.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::help::{TOPICS, TextStyle, Topic, render};
use crate::report::table::TextTable;
use crate::suggest::closest;

/// Show the help of a command, or a chapter of the guide.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Command or topic [default: the list of both].
    #[arg(value_name = "COMMAND|TOPIC")]
    pub name: Option<String>,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut golden = super::groups::grouped(super::parser());
    golden.build();
    let Some(name) = args.name else {
        context
            .out
            .data(&format!("{}\n{}", golden.render_help(), topics()));
        return Ok(Exit::Done);
    };
    if let Some(command) = golden.find_subcommand_mut(&name) {
        let help = command.render_long_help();
        let text = if context.out.color {
            help.ansi().to_string()
        } else {
            help.to_string()
        };
        context.out.data(&text);
        return Ok(Exit::Done);
    }
    if let Some(topic) = Topic::find(&name) {
        let style = TextStyle {
            width: context.out.width,
            color: context.out.color,
        };
        context.out.data(&render(&topic.text(), style));
        return Ok(Exit::Done);
    }
    let names = golden
        .get_subcommands()
        .map(|command| command.get_name().to_owned());
    let names: Vec<String> = names
        .chain(TOPICS.iter().map(|topic| topic.name.to_owned()))
        .collect();
    let failure = Failure::usage(format!(
        "`{name}` is neither a command nor a topic of the guide"
    ));
    Err(match closest(&name, names.iter().map(String::as_str)) {
        Some(similar) => failure.hint(format!("did you mean `golden help {similar}`?")),
        None => failure.hint("`golden help` lists the commands and topics"),
    })
}

/// The list of topics.
fn topics() -> String {
    let mut table = TextTable::default();
    for topic in TOPICS {
        table.row([format!("  {}", topic.name), topic.summary.to_owned()]);
    }
    format!("Topics (golden help TOPIC):\n{table}")
}
