//! The commands of the guides, run as they stand, beside the output that the guides show.

use super::Desk;

/// What a page shows: commands behind `$ `, each with the lines that follow it.
fn commands(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.into(), String::new())),
                (None, Some((_, output))) => {
                    output.push_str(line);
                    output.push('\n');
                }
                (None, None) => panic!("{line}: before the first command"),
            }
        }
    }
    commands
}

/// The words of a command line, as a shell would cut them.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Replaces the moments of the run, which differ from run to run; days, which the guide chose, stay.
fn without_moments(text: &str) -> String {
    let is_moment = |window: &str| {
        let digits = |range: std::ops::Range<usize>| {
            window.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()))
        };
        digits(0..4) && digits(11..13) && window.get(13..14) == Some(":") && window.get(16..17) == Some(":")
    };
    let mut text = text.to_owned();
    let starts: Vec<_> = text.char_indices().map(|(index, _)| index).collect();
    for start in starts {
        if text.get(start..start + 19).is_some_and(is_moment) {
            text.replace_range(start..start + 19, "____-__-__ __:__:__");
        }
    }
    text
}

#[test]
fn the_guide_to_two_times_shows_what_is_printed() {
    let page = include_str!("../../../docs/guide/time.md");
    let commands = commands(page);
    assert!(commands.len() >= 8, "{}", commands.len());
    let desk = Desk::new();
    for (command, shown) in commands {
        let words = words(&command);
        assert_eq!(words[0], "llmdb", "{command}");
        let printed = desk.ok(&words[1..].iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(without_moments(&printed), without_moments(&shown), "{command}\n{printed}");
    }
}
