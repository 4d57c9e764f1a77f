# bash completion for clora(1). Options come from the command's own help, so that they are never out of date.

_clora_options() { # COMMAND
    clora "$1" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
}

_clora() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words
    local commands="devices tune plan train eval generate chat merge combine convert inspect tokenize bench compare plot"

    COMPREPLY=()
    if [ "$cur" = = ]; then # bash parts words at "=": --opt=value is three of them
        cur=
    elif [ "$prev" = = ] && [ "$COMP_CWORD" -ge 3 ]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$commands help --help --version"
    elif [ "$command" = help ]; then
        words=$commands
    else
        case $prev in
        --adapter-dtype) words="f32 f16 bf16" ;;
        --modules-to-save) words="embed_tokens lm_head norm" ;;
        --dtype) words="file f32 f16 bf16 q8_0" ;;
        --eos) words="always never" ;;
        --template) # words, or a file
            mapfile -t COMPREPLY < <(compgen -W "none alpaca chatml" -f -- "$cur")
            return
            ;;
        --master) words="f32 none" ;;
        --method)
            words="lora adapter full bias norms prefix prompt"
            [ "$command" = combine ] && words="svd cat sum ties dare dare_ties"
            ;;
        --to) words="peft mlx gguf" ;;
        --majority-sign) words="total frequency" ;;
        --prefix-init | --prompt-init) words="vocabulary random" ;;
        --bottleneck-style) words="pfeiffer houlsby" ;;
        --nonlinearity) words="auto relu swish" ;;
        --bottleneck-init) words="bert mam" ;;
        --init) words="gaussian kaiming peft-gaussian pissa olora random" ;;
        --only) words="all train prefill decode switch" ;;
        --for) words="train generate train,generate" ;;
        --optimizer) words="adamw adamw8bit sgd" ;;
        --order) words="input finished" ;;
        --recompute) words="none attention layer" ;;
        --schedule) words="constant linear cosine" ;;
        --objective) words="next classify dpo ipo hinge orpo kto" ;;
        --target-modules) words="all-linear q_proj k_proj v_proj o_proj gate_proj up_proj down_proj" ;;
        --device) words=$(clora devices 2>/dev/null | sed -n 's/^\([0-9][0-9]*\)  .*/\1/p') ;;
        *)
            if [[ $cur == -* ]]; then
                words=$(_clora_options "$command")
            else
                compopt -o default 2>/dev/null # file names
                return
            fi
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _clora clora
