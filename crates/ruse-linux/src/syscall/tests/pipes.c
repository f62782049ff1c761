// Pipes: bounds, ends, signals, hostile arguments.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
static void nothing(int s) {}
static void pipes(void){
  int p[2];
char b[100000];
  CHECK(pipe(p)==0);
  CHECK(write(p[1],"abc",3)==3);
CHECK(read(p[0],b,10)==3 && !memcmp(b,"abc",3));
  int n;
CHECK(ioctl(p[0],FIONREAD,&n)==0 && n==0);
  CHECK(fcntl(p[1],F_SETFL,O_NONBLOCK)==0);
  int total=0;
long r;
while((r=write(p[1],b,10000))>0) total+=r;
  CHECK(r==-1&&errno==EAGAIN);
CHECK(total==65536);
  CHECK(fcntl(p[0],F_GETPIPE_SZ)==65536);
  CHECK(fcntl(p[0],F_SETPIPE_SZ,131072)==131072);
  FAILS(fcntl(p[0],F_SETPIPE_SZ,4096),EBUSY);
  FAILS(fcntl(p[0],F_SETPIPE_SZ,1<<24),EPERM);
  struct pollfd f={p[1],POLLOUT};
CHECK(poll(&f,1,0)==1);
  close(p[0]);
signal(SIGPIPE,SIG_IGN);
FAILS(write(p[1],"x",1),EPIPE);
  f.revents=0;
CHECK(poll(&f,1,0)==1 && (f.revents&POLLERR));
  close(p[1]);
  FAILS(syscall(59,p,0x10),EINVAL);
  FAILS(syscall(59,(void*)8,0),EFAULT);
  /* big blocking write through a child */
  CHECK(pipe(p)==0);
  pid_t c=fork();
  if(!c){
close(p[0]);
char*big=malloc(1<<20);
memset(big,'x',1<<20);
_exit(write(p[1],big,1<<20)==1<<20?0:1);}  
  close(p[1]);
long got=0;
while((r=read(p[0],b,sizeof b))>0) got+=r;
CHECK(got==1<<20);
  int st;
CHECK(waitpid(c,&st,0)==c && st==0);
close(p[0]);
  /* SIGPIPE kills */
  pipe(p);
c=fork();
if(!c){
signal(SIGPIPE,SIG_DFL);
close(p[0]);
write(p[1],"x",1);
_exit(0);} 
  close(p[0]);close(p[1]);
waitpid(c,&st,0);
CHECK(WIFSIGNALED(st)&&WTERMSIG(st)==SIGPIPE);
  /* EINTR */
  pipe(p);
struct sigaction sa={.sa_handler=nothing};
sigaction(SIGALRM,&sa,0);
alarm(1);
FAILS(read(p[0],b,1),EINTR);
  close(p[0]);close(p[1]);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    pipes();
    return 0;
}
