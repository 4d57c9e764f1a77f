# bash completion for clora(1). All words come from the command itself, so that they are never out of date.

_clora() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words part at=2
    local -a lines

    COMPREPLY=()
    if [ "$cur" = = ]; then # bash parts words at "=": --opt=value is three of them
        cur=
    elif [ "$prev" = = ] && [ "$COMP_CWORD" -ge 3 ]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "$command" = help ] && [ "$COMP_CWORD" -gt 2 ]; then
        command=${COMP_WORDS[2]} at=3
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$(clora help --words 2>/dev/null) help --help --version"
    elif [ "$command" = help ]; then
        words=$(clora help --words 2>/dev/null)
    elif [ "$prev" = --device ]; then
        words=$(clora devices 2>/dev/null | sed -n 's/^\([0-9][0-9]*\)  .*/\1/p')
    else
        mapfile -t lines < <(clora help --words "$command" 2>/dev/null)
        part=${COMP_WORDS[at]}
        if [ "$COMP_CWORD" -gt "$at" ] && [[ $part != -* ]] && printf '%s\n' "${lines[@]}" | grep -qxF -- "$part"; then
            mapfile -t lines < <(clora help --words "$command" "$part" 2>/dev/null)
        fi
        words=$(_clora_words "$cur" "$prev" "$((COMP_CWORD == at))" "${lines[@]}")
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    if [ ${#COMPREPLY[@]} -eq 0 ] && [[ $cur != -* ]]; then
        compopt -o default 2>/dev/null # file names
    fi
}

# CUR PREV FIRST LINE...: of lines such as "--schedule constant linear cosine" what may come here
_clora_words() {
    local cur=$1 prev=$2 first=$3 line
    shift 3
    for line; do
        if [[ $prev == --* && ${line%% *} == "$prev" ]]; then
            [ "$line" = "$prev" ] || echo "${line#* }"
        elif [[ $cur == -* && $line == --* ]] || [[ $cur != -* && $first = 1 && $line != --* ]]; then
            echo "${line%% *}"
        fi
    done
}

complete -F _clora clora
