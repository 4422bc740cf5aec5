# elvish completion for netstat-rs, printed by `netstat-rs completions elvish`.
use str
set edit:completion:arg-completer[netstat-rs] = {|@words|
    var place = (- (count $words) 1)
    (external netstat-rs) completions elvish --answer $place -- $@words 2>/dev/null | each {|line|
        if (eq $line :files) {
            edit:complete-filename $words[-1]
        } else {
            var value help = (str:split &max=2 "\t" $line)
            edit:complex-candidate $value &display=(if (eq $help '') { put $value } else { put $value' ('$help')' })
        }
    }
}
