#compdef clora
# zsh completion for clora(1). Options come from the command's own help, so that they are never out of date.

_clora() {
    local -a commands options
    commands=(${(f)"$(clora --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) *\(.*\)/\1:\2/p')"})
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    case $words[CURRENT-1] in
    --dtype) compadd file f32 f16 bf16 q8_0 ;;
    --eos) compadd always never ;;
    --template)
        compadd none alpaca chatml
        _files
        ;;
    --master) compadd f32 none ;;
    --method) compadd lora adapter full bias norms prefix prompt ;;
    --prefix-init | --prompt-init) compadd vocabulary random ;;
    --bottleneck-style) compadd pfeiffer houlsby ;;
    --nonlinearity) compadd auto relu swish ;;
    --bottleneck-init) compadd bert mam ;;
    --init) compadd gaussian kaiming peft-gaussian random ;;
    --only) compadd all train prefill decode switch ;;
    --for) compadd train generate train,generate ;;
    --optimizer) compadd adamw adamw8bit sgd ;;
    --order) compadd input finished ;;
    --recompute) compadd none attention layer ;;
    --schedule) compadd constant linear cosine ;;
    --objective) compadd next classify dpo ipo hinge orpo kto ;;
    --target-modules) compadd all-linear q_proj k_proj v_proj o_proj gate_proj up_proj down_proj ;;
    --device) compadd $(clora devices 2>/dev/null | sed -n 's/^\([0-9][0-9]*\)  .*/\1/p') ;;
    *)
        if [[ $words[CURRENT] == -* ]]; then
            options=(${(f)"$(clora $words[2] --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')"})
            compadd -a options
        elif [[ $words[2] == help ]]; then
            _describe command commands
        else
            _files
        fi
        ;;
    esac
}

_clora "$@"
