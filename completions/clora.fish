# fish completion for clora(1). All words come from the command itself, so that they are never out of date.

function __clora_commands
    clora --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) *\(.*\)/\1\t\2/p'
end

# Of lines such as "--schedule constant linear cosine" those of the command, or of the part of it that is named.
function __clora_lines
    set -l words (commandline -opc)
    test "$words[2]" = help; and set -e words[1]
    if test (count $words) -gt 2; and clora help --words $words[2] 2>/dev/null | string match -q -- $words[3]; and not string match -q -- '-*' $words[3]
        clora help --words $words[2] $words[3] 2>/dev/null
    else
        clora help --words $words[2] 2>/dev/null
    end
end

function __clora_options
    __clora_lines | string match -r -- '^--[a-z-]+'
end

function __clora_parts
    set -l words (commandline -opc)
    test (count $words) -eq 2; or test "$words[2]" = help -a (count $words) -eq 3; or return
    __clora_lines | string match -v -- '-*'
end

function __clora_values
    set -l words (commandline -opc)
    string match -q -- '--*' "$words[-1]"; or return
    for line in (__clora_lines)
        set -l parts (string split ' ' -- $line)
        test "$parts[1]" = "$words[-1]" -a (count $parts) -gt 1; and printf '%s\n' $parts[2..-1]
    end
end

complete -c clora -n __fish_use_subcommand -f -a '(__clora_commands)'
complete -c clora -n '__fish_seen_subcommand_from help; and test (count (commandline -opc)) -eq 2' -f -a '(__clora_commands)'
complete -c clora -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__clora_options)'
complete -c clora -n 'not __fish_use_subcommand; and count (__clora_parts) >/dev/null' -f -a '(__clora_parts)'
complete -c clora -n 'not __fish_use_subcommand; and count (__clora_values) >/dev/null' -f -a '(__clora_values)'
