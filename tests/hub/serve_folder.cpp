// serve_folder FOLDER: a local hub with FOLDER as the repository org/model. Prints its address and
// serves until standard input ends; then prints the requests it had. For check_huggingface_hub.py.
#include <cstdio>

#include "hub_server.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: serve_folder FOLDER\n", stderr);
    return 2;
  }
  flux2::HubServer server;
  server.add_folder(argv[1]);
  std::printf("%s\n", server.endpoint().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  for (const flux2::SeenRequest& request : server.seen())
    std::printf("%s %s\n", request.method.c_str(), request.path.c_str());
}
