/** A number with its noun: `1 tensor`, `2 tensors`. */
export function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun}s`}`;
}
