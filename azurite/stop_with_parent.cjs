// Loaded into Azurite's process before Azurite. Standard input is a pipe from the process that started it: when that
// process closes the pipe, or ends in whatever way, Azurite shuts down as on SIGINT and writes its data to disk.
// This is the one way to ask for it that works on Linux, macOS and Windows, and that a killed parent cannot miss.
const shutDown = () => {
  if (process.listenerCount('SIGINT') > 0) process.emit('SIGINT');
  else process.exit(0);
};
process.stdin.on('end', shutDown).on('error', shutDown).resume();
