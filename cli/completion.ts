/** A command as completion offers it. Words of a command are separated by blanks. */
export interface CompletedCommand {
  readonly words: string
  readonly summary: string
  readonly flags: readonly { readonly name: string; readonly char: string | undefined }[]
  /** What its arguments are names of, asked from the server. */
  readonly names: 'indexes' | 'projects' | 'users' | 'files'
}

export type Shell = 'bash' | 'zsh' | 'fish'

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish']

/** The script that a shell reads. Names of indexes and projects are asked for when they are completed. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  if (shell === 'fish') return fishScript(commands)
  const bash = bashScript(commands)
  return shell === 'bash' ? bash : `${ZSH_START}\n${bash}`
}

/** It takes the scripts of bash once its own completion runs, which not everybody's settings start. */
const ZSH_START = 'autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit -i\nbashcompinit'

function bashScript(commands: readonly CompletedCommand[]): string {
  const firstWords = [...new Set(commands.map(({ words }) => words.split(' ')[0] ?? ''))]
  const cases = commands.map(({ words, flags, names }) => {
    const options = flags.flatMap(({ name, char }) => [`--${name}`, ...(char === undefined ? [] : [`-${char}`])]).join(' ')
    return `    '${words}') options='${options}'; names=${names} ;;`
  })
  const topics = firstWords.flatMap((word) => {
    const seconds = commands.filter(({ words }) => words.startsWith(`${word} `)).map(({ words }) => words.split(' ')[1] ?? '')
    return seconds.length === 0 ? [] : [`    ${word}) [ "$COMP_CWORD" -eq 2 ] && { COMPREPLY=($(compgen -W '${seconds.join(' ')}' -- "$word")); return; }; command="$command \${COMP_WORDS[2]}" ;;`]
  })
  return `_devpi() {
  local word="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" options='' names=files
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${firstWords.join(' ')}' -- "$word"))
    return
  fi
  case "$command" in
${topics.join('\n')}
  esac
  case "$command" in
${cases.join('\n')}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")); return ;;
  esac
  if [ "$names" = files ]; then
    COMPREPLY=($(compgen -f -- "$word"))
  else
    COMPREPLY=($(compgen -W "$(devpi completion names "$names" 2>/dev/null)" -- "$word"))
  fi
}
complete -o default -F _devpi devpi
`
}

function fishScript(commands: readonly CompletedCommand[]): string {
  const lines = ['complete -c devpi -f']
  for (const { words, summary, flags, names } of commands) {
    const [first = '', second] = words.split(' ')
    const seen = second === undefined ? `__fish_seen_subcommand_from ${first}` : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`
    const before = second === undefined ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${second}`
    lines.push(`complete -c devpi -n '${before}' -a ${second ?? first} -d ${quoted(summary)}`)
    if (second !== undefined) lines.push(`complete -c devpi -n __fish_use_subcommand -a ${first}`)
    for (const { name, char } of flags) lines.push(`complete -c devpi -n '${seen}' -l ${name}${char === undefined ? '' : ` -s ${char}`}`)
    lines.push(names === 'files' ? `complete -c devpi -n '${seen}' -F` : `complete -c devpi -n '${seen}' -a '(devpi completion names ${names} 2>/dev/null)'`)
  }
  return `${lines.join('\n')}\n`
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
