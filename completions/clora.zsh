#compdef clora
# zsh completion for clora(1). All words come from the command itself, so that they are never out of date.

_clora() {
    local -a commands lines found
    local command=$words[2] at=3 line
    commands=(${(f)"$(clora --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) *\(.*\)/\1:\2/p')"})
    if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $command == help ]]; }; then
        _describe command commands
        return
    fi
    if [[ $command == help ]]; then
        command=$words[3] at=4
    fi
    if [[ $words[CURRENT-1] == --device ]]; then
        compadd $(clora devices 2>/dev/null | sed -n 's/^\([0-9][0-9]*\)  .*/\1/p')
        return
    fi
    # lines such as "--schedule constant linear cosine", and the names of parts of the command
    lines=(${(f)"$(clora help --words $command 2>/dev/null)"})
    if ((CURRENT > at)) && [[ $words[at] != -* ]] && ((${lines[(Ie)$words[at]]})); then
        lines=(${(f)"$(clora help --words $command $words[at] 2>/dev/null)"})
    fi
    for line in $lines; do
        if [[ $words[CURRENT-1] == --* && ${line%% *} == $words[CURRENT-1] ]]; then
            [[ $line == *' '* ]] && found+=(${=line#* })
        elif [[ $words[CURRENT] == -* ]]; then
            [[ $line == --* ]] && found+=(${line%% *})
        elif ((CURRENT == at)) && [[ $line != --* ]]; then
            found+=($line)
        fi
    done
    compadd -a found || _files
}

_clora "$@"
