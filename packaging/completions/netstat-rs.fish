# fish completion for netstat-rs, printed by `netstat-rs completions fish`.
function __netstat_rs_answers
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l answers (netstat-rs completions fish --answer (count $words) -- $words "$current" 2>/dev/null)
    if test "$answers[1]" = :files
        __fish_complete_path "$current"
    else if test (count $answers) -gt 0
        printf '%s\n' $answers
    end
end
complete --command netstat-rs --no-files --keep-order --arguments '(__netstat_rs_answers)'
