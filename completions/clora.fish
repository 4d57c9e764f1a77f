# fish completion for clora(1). Options come from the command's own help, so that they are never out of date.

function __clora_options
    set -l words (commandline -opc)
    clora $words[2] --help 2>/dev/null | string match -rg '^  (--[a-z-]+)'
end

function __clora_commands
    clora --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) *\(.*\)/\1\t\2/p'
end

function __clora_after
    set -l words (commandline -opc)
    test "$words[-1]" = $argv[1]
end

complete -c clora -n __fish_use_subcommand -f -a '(__clora_commands)'
complete -c clora -n '__fish_seen_subcommand_from help' -f -a '(__clora_commands)'
complete -c clora -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__clora_options)'
complete -c clora -n '__clora_after --dtype' -f -a 'file f32 f16 bf16 q8_0'
complete -c clora -n '__clora_after --eos' -f -a 'always never'
complete -c clora -n '__clora_after --template' -a 'none alpaca chatml'
complete -c clora -n '__clora_after --master' -f -a 'f32 none'
complete -c clora -n '__clora_after --method' -f -a 'lora adapter full bias norms prefix prompt'
complete -c clora -n '__clora_after --prefix-init; or __clora_after --prompt-init' -f -a 'vocabulary random'
complete -c clora -n '__clora_after --bottleneck-style' -f -a 'pfeiffer houlsby'
complete -c clora -n '__clora_after --nonlinearity' -f -a 'auto relu swish'
complete -c clora -n '__clora_after --bottleneck-init' -f -a 'bert mam'
complete -c clora -n '__clora_after --init' -f -a 'gaussian kaiming peft-gaussian random'
complete -c clora -n '__clora_after --only' -f -a 'all train prefill decode switch'
complete -c clora -n '__clora_after --for' -f -a 'train generate train,generate'
complete -c clora -n '__clora_after --optimizer' -f -a 'adamw adamw8bit sgd'
complete -c clora -n '__clora_after --order' -f -a 'input finished'
complete -c clora -n '__clora_after --recompute' -f -a 'none attention layer'
complete -c clora -n '__clora_after --schedule' -f -a 'constant linear cosine'
complete -c clora -n '__clora_after --objective' -f -a 'next classify dpo ipo hinge orpo kto'
