# PowerShell completion for netstat-rs, printed by `netstat-rs completions powershell`.
Register-ArgumentCompleter -Native -CommandName 'netstat-rs' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    # Only what stands before the cursor counts.
    $before = $commandAst.Extent.Text
    $length = $cursorPosition - $commandAst.Extent.StartOffset
    if ($length -lt $before.Length) { $before = $before.Substring(0, $length) }
    $words = @($before -split '\s+' | Where-Object { $_ -ne '' })
    # A word that is not begun yet is left out: old PowerShell cannot pass an empty one.
    $place = $words.Count
    # How much of the last word PowerShell keeps: of a list with commas it gives only the last part.
    $kept = 0
    if ($wordToComplete -ne '' -or $before -match '\S$') {
        $place = $words.Count - 1
        $kept = [math]::Max(0, $words[$place].Length - $wordToComplete.Length)
    }
    & 'netstat-rs' completions powershell --answer $place '--' @words 2>$null | ForEach-Object {
        $value, $help = $_ -split "`t", 2
        if ($value -eq ':files') {
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)
        } else {
            if (-not $help) { $help = $value }
            $text = $value.Substring([math]::Min($kept, $value.Length))
            [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $help)
        }
    }
}
