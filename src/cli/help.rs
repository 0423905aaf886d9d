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
    let command = golden.find_subcommand_mut(&name).map(|command| {
        let help = command.render_long_help();
        if context.out.color {
            help.ansi().to_string()
        } else {
            help.to_string()
        }
    });
    let topic = Topic::find(&name).map(|topic| {
        let style = TextStyle {
            width: context.out.width,
            color: context.out.color,
        };
        render(&topic.text(), style)
    });
    let text = match (command, topic) {
        (Some(command), None) => Some(command),
        (None, Some(topic)) => Some(topic),
        // Some names are both a command and a chapter.
        (Some(command), Some(topic)) => Some(format!(
            "{}\n\n`golden {name} --help` shows only this text. The chapter `{name}` of the guide \
             follows.\n\n{topic}",
            command.trim_end()
        )),
        (None, None) => None,
    };
    if let Some(text) = text {
        context.out.data(&text);
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
